package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A fault is what a server shall do to the next requests instead of answering them well.
type fault struct {
	Kind     string `json:"kind"`
	Count    int    `json:"count,omitempty"`  // how many requests it hits; 1 if left out
	After    int    `json:"after,omitempty"`  // how many it lets pass before
	Status   int    `json:"status,omitempty"` // of kind "status"
	Location string `json:"location,omitempty"`
}

// A control speaks to a server's /_control endpoints.
type control struct{ url string }

var controlClient = &http.Client{Timeout: 10 * time.Second}

func (c control) reset(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/_control/reset", struct{}{}, nil)
}

// faults replaces what was asked for before.
func (c control) faults(ctx context.Context, faults ...fault) error {
	list := append([]fault{}, faults...) // [] and not null if there are none
	return c.call(ctx, http.MethodPost, "/_control/faults", list, nil)
}

func (c control) stats(ctx context.Context, into any) error {
	return c.call(ctx, http.MethodGet, "/_control/stats", nil, into)
}

func (c control) call(ctx context.Context, method, path string, send, into any) error {
	body, err := json.Marshal(send)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := controlClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
