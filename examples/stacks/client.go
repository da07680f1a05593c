package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
)

// client calls the API.
type client interface {
	caller(ctx context.Context) (caller, error)
	clinician(ctx context.Context) (caller, error) // the same, for clinicians alone
	upload(ctx context.Context, document io.Reader) (size int64, err error)
	events(ctx context.Context, each func(event)) error
}

// chunkSize is how much of a document goes into a message, in bytes.
const chunkSize = 64 << 10

// newClient makes the client for a stack, with tokens from HelseID. The function that it
// returns closes it.
func newClient(stack string, tokens *helseid.Client, request helseid.TokenRequest, origin string) (client, func(), error) {
	switch stack {
	case "connect":
		return newConnectClient(tokens.HTTPClient(request), origin), func() {}, nil
	case "grpc":
		conn, err := newConnection(tokens, request, origin)
		if err != nil {
			return nil, nil, err
		}
		return grpcClient{conn}, func() { _ = conn.Close() }, nil
	}
	return httpClient{tokens.HTTPClient(request), origin}, func() {}, nil
}

// newConnection makes a connection of gRPC for an origin, such as
// https://api.example.no.
func newConnection(tokens *helseid.Client, request helseid.TokenRequest, origin string) (*grpc.ClientConn, error) {
	made, err := grpccredentials.New(grpccredentials.Config{
		Tokens:                 tokens.TokenSource(request),
		Origin:                 origin,
		AllowPlaintextLoopback: true, // for this demonstration
	})
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	options := made.DialOptions()
	if target.Scheme == "https" {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	}
	return grpc.NewClient("dns:///"+target.Host, options...)
}

// httpClient calls the API where a router serves it. Its HTTP client is that of package
// helseid.
type httpClient struct {
	client *http.Client
	origin string
}

func (c httpClient) caller(ctx context.Context) (caller, error) { return c.get(ctx, "/caller") }

func (c httpClient) clinician(ctx context.Context) (caller, error) {
	return c.get(ctx, "/clinician/caller")
}

func (c httpClient) get(ctx context.Context, path string) (found caller, err error) {
	err = c.call(ctx, http.MethodGet, path, "", nil, func(body io.Reader) error { return json.NewDecoder(body).Decode(&found) })
	return found, err
}

func (c httpClient) upload(ctx context.Context, document io.Reader) (int64, error) {
	body, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("document", "document")
		if err == nil {
			_, err = io.Copy(part, document)
		}
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	var kept struct{ Size int64 }
	err := c.call(ctx, http.MethodPost, "/documents", form.FormDataContentType(), body, func(body io.Reader) error { return json.NewDecoder(body).Decode(&kept) })
	return kept.Size, err
}

func (c httpClient) events(ctx context.Context, each func(event)) error {
	return c.call(ctx, http.MethodGet, "/events", "", nil, func(body io.Reader) error {
		for lines := json.NewDecoder(body); ; {
			var next event
			switch err := lines.Decode(&next); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
			each(next)
		}
	})
}

func (c httpClient) call(ctx context.Context, method, path, contentType string, body io.Reader, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		var problem struct{ Reason string }
		_ = json.NewDecoder(response.Body).Decode(&problem)
		return fmt.Errorf("the API refused with %s: %s", response.Status, problem.Reason)
	}
	return read(response.Body)
}
