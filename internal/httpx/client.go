package httpx

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// OrNew returns the client, or for nil one of its own. The transport is that of the
// new client, whose owner closes its idle connections, or nil.
func OrNew(client *http.Client) (*http.Client, *http.Transport) {
	if client != nil {
		return client, nil
	}
	transport := NewTransport()
	return &http.Client{Transport: transport}, transport
}

// NewTransport returns the transport that is used if the caller supplies no client:
// with the environment's proxy, TLS 1.2 or later, and a limit on every wait.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Transport returns the client's transport, or [http.DefaultTransport] if it has none.
func Transport(client *http.Client) http.RoundTripper {
	if client.Transport == nil {
		return http.DefaultTransport
	}
	return client.Transport
}

// NoRedirect returns a copy of the client that returns a redirect as the response,
// without its Location, and keeps no cookies. Following a redirect would send the
// request's credential to another address, and net/http quotes a Location that it
// cannot parse in its error.
func NoRedirect(client *http.Client) *http.Client {
	clone := *client
	clone.Jar = nil
	clone.CheckRedirect = nil
	clone.Transport = withoutLocation{Transport(client)}
	return &clone
}

type withoutLocation struct {
	base http.RoundTripper
}

// Unwrap returns the inner transport.
func (t withoutLocation) Unwrap() http.RoundTripper { return t.base }

// RoundTrip implements http.RoundTripper.
func (t withoutLocation) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err == nil && response.StatusCode >= 300 && response.StatusCode < 400 {
		response.Header.Del("Location")
	}
	return response, err
}

// GetPolicy bounds the duration and the attempts of [Get].
type GetPolicy struct {
	Timeout time.Duration // of each attempt
	Retries int

	// Final, if set, reports errors that another attempt cannot fix.
	Final func(error) bool
}

func (p GetPolicy) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err != nil && p.Final != nil && p.Final(err) {
		return false, nil // the client returns err itself
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// maxRetryWait bounds both the back-off and the server's Retry-After.
const maxRetryWait = 2 * time.Second

// Get fetches a document: no redirect, body bounded, and no credential unless the
// client's transport adds one for each attempt. A response of any status is returned;
// the error is for failed connections only.
func Get(ctx context.Context, client *http.Client, url string, policy GetPolicy) (*http.Response, []byte, error) {
	attempt := NoRedirect(client)
	attempt.Timeout = policy.Timeout
	retrying := &retryablehttp.Client{
		HTTPClient:   attempt,
		RetryMax:     policy.Retries,
		RetryWaitMin: 100 * time.Millisecond,
		RetryWaitMax: maxRetryWait,
		CheckRetry:   policy.checkRetry,
		Backoff:      cappedBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("the URL cannot be requested: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	SetUserAgent(request.Header)
	resp, err := retrying.Do(request)
	if err != nil {
		if resp != nil { // the response arrived when the context had just ended
			_ = resp.Body.Close()
		}
		return nil, nil, err
	}
	body, err := ReadBody(resp)
	return resp, body, err
}

// cappedBackoff follows Retry-After only up to maxRetryWait; go-retryablehttp itself
// would wait for a day if told to.
func cappedBackoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(least, most, attempt, resp)
	if wait < least || wait > most {
		return most
	}
	return wait
}
