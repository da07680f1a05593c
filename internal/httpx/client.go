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

// NewTransport returns the transport used when the caller supplies no client:
// the environment's proxy, TLS 1.2 or later, and a limit on every wait.
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

// Transport is the client's transport, or http.DefaultTransport where the
// client leaves it out.
func Transport(client *http.Client) http.RoundTripper {
	if client.Transport == nil {
		return http.DefaultTransport
	}
	return client.Transport
}

// NoRedirect returns a copy of the client that hands a redirect back as the
// answer, without its Location, and keeps no cookies: a redirect would carry the
// credential in the request elsewhere, and net/http quotes a Location that it
// cannot parse.
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

// Unwrap returns the transport inside.
func (t withoutLocation) Unwrap() http.RoundTripper { return t.base }

// RoundTrip implements http.RoundTripper.
func (t withoutLocation) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err == nil && response.StatusCode >= 300 && response.StatusCode < 400 {
		response.Header.Del("Location")
	}
	return response, err
}

// GetPolicy bounds a Get.
type GetPolicy struct {
	Timeout time.Duration // of each attempt
	Retries int

	// Final, if set, tells errors that another attempt cannot mend.
	Final func(error) bool
}

func (p GetPolicy) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err != nil && p.Final != nil && p.Final(err) {
		return false, nil // the client returns err itself
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// maxRetryWait caps the back-off and the server's Retry-After alike.
const maxRetryWait = 2 * time.Second

// Get fetches a document: no redirect, body bounded, and no credential unless the
// client's transport adds one for each attempt. An answer of any status comes back;
// the error is for the connection only.
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
		if resp != nil { // it came when the context had just ended
			_ = resp.Body.Close()
		}
		return nil, nil, err
	}
	body, err := ReadBody(resp)
	return resp, body, err
}

// cappedBackoff obeys Retry-After only up to maxRetryWait; the library alone
// would sleep for a day if told to.
func cappedBackoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(least, most, attempt, resp)
	if wait < least || wait > most {
		return most
	}
	return wait
}
