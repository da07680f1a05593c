package apicall

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// ErrOriginRefused is helseid.ErrOriginRefused.
var ErrOriginRefused = redact.Words("origin refused")

// Destinations are where requests with a token may go. Origins have the form of
// httpx.Origin.
type Destinations struct {
	ClientOrigins  []string // Config.AllowedOrigins; empty means any
	RequestOrigins []string // TokenRequest.AllowedOrigins; empty means any, and no redirect to another
	LoopbackOnly   bool     // the transport takes any certificate
}

// Check returns an error if the request must not carry a token to its URL.
func (d Destinations) Check(request *http.Request) error {
	if request.URL == nil {
		return errors.New("helseid: the request has no URL")
	}
	if request.Method == http.MethodTrace {
		return errors.New("helseid: a TRACE request must not carry credentials (RFC 9110 section 9.3.8)")
	}
	if err := httpx.CheckSecure(request.URL); err != nil {
		return fmt.Errorf("helseid: the request gets no token: %w", err)
	}
	if d.LoopbackOnly && !httpx.IsLoopback(request.URL.Hostname()) {
		return fmt.Errorf("helseid: %w: the request gets no token: Config.HTTPClient: %w", httpx.ErrInsecureURL, httpx.ErrUnverified)
	}
	origin := httpx.Origin(request.URL)
	if allowed := d.ClientOrigins; len(allowed) > 0 && !slices.Contains(allowed, origin) {
		return fmt.Errorf("helseid: %w: %s is not one of Config.AllowedOrigins", ErrOriginRefused, origin)
	}
	if allowed := d.RequestOrigins; len(allowed) > 0 {
		if slices.Contains(allowed, origin) {
			return nil
		}
		return fmt.Errorf("helseid: %w: %s is not one of TokenRequest.AllowedOrigins", ErrOriginRefused, origin)
	}
	if first := firstURL(request); httpx.Origin(first) != origin {
		return fmt.Errorf("helseid: %w: %s redirects to %s; name both in TokenRequest.AllowedOrigins if the token is meant for both",
			ErrOriginRefused, httpx.Origin(first), origin)
	}
	return nil
}

// firstURL follows a chain of redirects back to the URL that was called.
// net/http links each request to the response that caused it.
func firstURL(request *http.Request) *url.URL {
	const maxHops = 100
	for range maxHops {
		if request.Response == nil || request.Response.Request == nil {
			break
		}
		request = request.Response.Request
	}
	return request.URL
}
