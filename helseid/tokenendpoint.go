package helseid

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
)

const (
	grantClientCredentials = "client_credentials"

	// tokenRequestTimeout bounds one token request with all its attempts.
	tokenRequestTimeout = 45 * time.Second

	retryWait    = 250 * time.Millisecond
	maxRetryWait = 4 * time.Second
)

// tokenGrant is the part of a token request that stays the same over all its
// attempts. Everything else is made anew for each.
type tokenGrant struct {
	parameters url.Values
	details    []clientassertion.Detail
	scopes     []string
}

// requestToken fetches a token, trying again after failures that a new attempt
// can cure.
func (c *Client) requestToken(ctx context.Context, grant tokenGrant) (*Token, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many token requests are under way", ErrUnavailable)
	}
	for try := 0; ; try++ {
		token, err := c.tokenRoundTrips(ctx, grant)
		if err == nil {
			return token, nil
		}
		var failure *attemptError
		if !errors.As(err, &failure) || !failure.retry || try >= c.config.TokenRetries {
			return nil, err
		}
		wait := backoff(try, failure.retryAfter)
		c.logRetry(ctx, err, wait)
		if !sleep(ctx, wait) {
			return nil, err
		}
		c.emit(Event{Kind: EventRetry})
	}
}

// attemptError says whether a new attempt can help.
type attemptError struct {
	err        error
	retry      bool
	retryAfter time.Duration
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// tokenRoundTrips makes one attempt, or two if HelseID answers the first with
// the nonce it wants to see.
func (c *Client) tokenRoundTrips(ctx context.Context, grant tokenGrant) (*Token, error) {
	endpoint, err := c.endpoint("token_endpoint")
	if err != nil {
		return nil, err
	}
	nonce := c.nonces.Get(endpoint)
	for challenged := false; ; challenged = true {
		start := time.Now()
		answer, err := c.tokenAttempt(ctx, endpoint, nonce, grant)
		if err != nil {
			return nil, err
		}
		if answer.status == http.StatusOK {
			token, err := answer.token(start, grant.scopes, c.prover.Thumbprint())
			if err != nil {
				return nil, err
			}
			return token, nil
		}
		failure := answer.tokenError()
		var refusal *TokenError
		if !errors.As(failure, &refusal) || refusal.Code != "use_dpop_nonce" {
			return nil, &attemptError{
				err:        failure,
				retry:      temporaryStatus(answer.status),
				retryAfter: retryAfter(answer.header),
			}
		}
		c.emit(Event{Kind: EventNonceChallenge})
		fresh := c.nonces.Observe(endpoint, answer.header)
		switch {
		case challenged:
			return nil, failure
		case fresh == "":
			return nil, fmt.Errorf("%w: %w: HelseID demands a DPoP nonce without giving a usable one", ErrInvalidResponse, failure)
		case fresh == nonce:
			return nil, fmt.Errorf("%w: HelseID demands a DPoP nonce and gave the one that was just used", failure)
		}
		nonce = fresh
	}
}

// endpoint looks an endpoint up in the metadata.
func (c *Client) endpoint(name string) (*url.URL, error) {
	document, err := c.metadata.Get(c.lifetime)
	if err != nil {
		return nil, err
	}
	return document.Endpoint(name)
}

// tokenAttempt builds and sends one request: new assertion, new proof, new
// body. Nothing of it is ever sent twice.
func (c *Client) tokenAttempt(ctx context.Context, endpoint *url.URL, nonce string, grant tokenGrant) (answer, error) {
	request, err := c.tokenHTTPRequest(ctx, endpoint, nonce, grant)
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	result, err := c.sendTokenRequest(request)
	c.emit(Event{Kind: EventRoundTrip, Status: result.status, Duration: time.Since(start), Err: err})
	if errors.Is(err, httpx.ErrTooLarge) {
		return answer{}, fmt.Errorf("token endpoint: %w: %w", ErrInvalidResponse, err)
	}
	if err != nil {
		err = fmt.Errorf("token endpoint: %w: %w", ErrUnavailable, err)
		return answer{}, &attemptError{err: err, retry: ctx.Err() == nil}
	}
	c.nonces.Observe(endpoint, result.header)
	return result, nil
}

func (c *Client) tokenHTTPRequest(ctx context.Context, endpoint *url.URL, nonce string, grant tokenGrant) (*http.Request, error) {
	assertion, err := c.assertions.Sign(ctx, grant.details...)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"client_id":             {c.config.ClientID},
		"client_assertion_type": {clientassertion.Type},
		"client_assertion":      {assertion},
	}
	for name, values := range grant.parameters {
		form[name] = values
	}
	proof, err := c.prover.Proof(ctx, dpop.Target{Method: http.MethodPost, URL: endpoint, Nonce: nonce})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("token endpoint: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set(dpop.HeaderName, proof)
	return request, nil
}

func (c *Client) sendTokenRequest(request *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(request.Context(), c.config.RequestTimeout)
	defer cancel()
	resp, err := c.backChannel.Do(request.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	body, err := httpx.ReadBody(resp)
	if err != nil {
		return answer{status: resp.StatusCode}, fmt.Errorf("the answer broke off: %w", err)
	}
	return answer{at: time.Now(), status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// backoff grows from 250 ms, is random by half, and obeys the server's wish up
// to the same limit.
func backoff(try int, wish time.Duration) time.Duration {
	wait := min(retryWait<<try, maxRetryWait)
	wait = wait/2 + rand.N(wait/2)
	return min(max(wait, wish), maxRetryWait)
}

// retryAfter reads the header's seconds; its other form, a date, is ignored
// since the clocks may differ.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxRetryWait/time.Second))) * time.Second
}

// sleep reports whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
