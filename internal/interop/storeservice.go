package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// A storeService lends a store to other processes, as a database would.
type storeService struct {
	server *http.Server
	url    string
}

// storedRow is a helseid.StoredRow on its way, which does not marshal itself.
type storedRow struct {
	Version     uint64
	Data        []byte
	Expiry      time.Time
	Unconfirmed bool
	Confirmed   bool
}

func rowOf(session helseid.StoredRow) storedRow {
	return storedRow{session.Version, session.Data, session.Expiry, session.Unconfirmed, session.Confirmed}
}

func (r storedRow) session() helseid.StoredRow {
	return helseid.StoredRow{Version: r.Version, Data: r.Data, Expiry: r.Expiry, Unconfirmed: r.Unconfirmed, Confirmed: r.Confirmed}
}

// storeRequest is what a process wants of the store, and storeAnswer what came of it.
type storeRequest struct {
	Key string
	Row storedRow
}

type storeAnswer struct {
	Row   storedRow
	Saved bool
}

func serveStore(store helseid.Store) (*storeService, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	handle := func(path string, do func(context.Context, storeRequest) (storeAnswer, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var asked storeRequest
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			answer, err := do(r.Context(), asked)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	handle("/load", func(ctx context.Context, asked storeRequest) (storeAnswer, error) {
		session, err := store.Load(ctx, asked.Key)
		return storeAnswer{Row: rowOf(session)}, err
	})
	handle("/save", func(ctx context.Context, asked storeRequest) (answer storeAnswer, err error) {
		answer.Saved, err = store.Save(ctx, asked.Key, asked.Row.session())
		return answer, err
	})
	handle("/delete", func(ctx context.Context, asked storeRequest) (answer storeAnswer, err error) {
		return answer, store.Delete(ctx, asked.Key)
	})
	service := &storeService{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		url:    "http://" + listener.Addr().String(),
	}
	go func() { _ = service.server.Serve(listener) }()
	return service, nil
}

func (s *storeService) close() { _ = s.server.Close() }

// A remoteStore is the store that a storeService lends out.
type remoteStore struct{ url string }

// Load implements helseid.Store.
func (r remoteStore) Load(ctx context.Context, key string) (helseid.StoredRow, error) {
	answer, err := r.ask(ctx, "/load", storeRequest{Key: key})
	return answer.Row.session(), err
}

// Save implements helseid.Store.
func (r remoteStore) Save(ctx context.Context, key string, session helseid.StoredRow) (bool, error) {
	answer, err := r.ask(ctx, "/save", storeRequest{key, rowOf(session)})
	return answer.Saved, err
}

// Delete implements helseid.Store.
func (r remoteStore) Delete(ctx context.Context, key string) error {
	_, err := r.ask(ctx, "/delete", storeRequest{Key: key})
	return err
}

func (r remoteStore) ask(ctx context.Context, path string, asked storeRequest) (answer storeAnswer, err error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return answer, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	response, err := controlClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("the store answers %s", response.Status)
	}
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}
