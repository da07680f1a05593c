package selvbetjening

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/internal/callcontext"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// answer is a complete answer of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get reads a document. It may be sent several times.
func (c *Client) get(ctx context.Context, path string) (jose.Value, error) {
	ctx = callcontext.Without(ctx)
	response, body, err := httpx.Get(ctx, c.api, c.address(path), httpx.GetPolicy{
		Timeout: c.config.Timeout,
		Retries: c.config.Retries,
		Final:   func(err error) bool { return errors.Is(err, helseid.ErrNoToken) }, // the client has tried again itself
	})
	var document jose.Value
	if err == nil {
		received := answer{response.StatusCode, response.Header, body}
		if err = received.check(); err == nil {
			document, err = received.document()
		}
	} else {
		err = callError(ctx, err)
	}
	if err != nil {
		return jose.Value{}, named(http.MethodGet, path, err)
	}
	return document, nil
}

// send sends a document that changes something. Nothing here sends it again: only the
// demand for a nonce and a refused token make the transport do so, and then the API has
// not acted upon it.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (answer, error) {
	ctx = callcontext.Without(ctx)
	received, err := c.sendOnce(ctx, method, path, body)
	if err != nil {
		err = callError(ctx, err)
	} else {
		err = received.check()
	}
	if err != nil {
		return answer{}, named(method, path, err)
	}
	return received, nil
}

func (c *Client) sendOnce(ctx context.Context, method, path string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.address(path), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	client := *c.api
	client.Timeout = c.config.Timeout
	response, err := client.Do(request) //nolint:bodyclose // ReadBody does
	if err != nil {
		return answer{}, err
	}
	received, err := httpx.ReadBody(response)
	return answer{response.StatusCode, response.Header, received}, err
}

func (c *Client) address(path string) string { return c.base.JoinPath(path).String() }

// named says which call an error is of.
func named(method, path string, err error) error {
	return fmt.Errorf("selvbetjening: %s %s: %w", method, path, err)
}

// callError is the error of a call that has no answer.
func callError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, httpx.ErrTooLarge):
		return fmt.Errorf("%w: %w", helseid.ErrInvalidResponse, err)
	case errors.Is(err, helseid.ErrNoToken): // its cause says what is the matter
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", helseid.ErrUnavailable, redact.Foreign(err))
}

// check returns the error that the answer's status means.
func (a answer) check() error {
	switch {
	case a.status >= 200 && a.status < 300:
		if len(a.body) > 0 && !httpx.IsJSON(a.header) {
			return a.foreign()
		}
		return nil
	case (&Error{Status: a.status}).temporary():
		return fmt.Errorf("%w: %w", helseid.ErrUnavailable, a.problem())
	case a.status < http.StatusBadRequest:
		return fmt.Errorf("%w: it redirects (status %d), and credentials follow no redirect", helseid.ErrInvalidResponse, a.status)
	case httpx.MediaType(a.header) == "text/html":
		return a.foreign()
	}
	return a.problem()
}

// foreign is the error of an answer that somebody else than the API has given.
func (a answer) foreign() error {
	return fmt.Errorf("%w: status %d with %d bytes of %s: check BaseURL, and for a proxy in the way",
		helseid.ErrInvalidResponse, a.status, len(a.body), httpx.MediaType(a.header))
}

// document reads the JSON in the answer.
func (a answer) document() (jose.Value, error) {
	document, err := jose.ParseValue(a.body)
	if err != nil {
		return jose.Value{}, unusable(err)
	}
	return document, nil
}

// unusable says what is wrong with an answer that the API seems to have given.
func unusable(err error) error { return fmt.Errorf("%w: %w", helseid.ErrInvalidResponse, err) }
