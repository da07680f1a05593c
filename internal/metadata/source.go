package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// Errors by category. The public packages hand them on under their own names.
var (
	ErrUnavailable    = redact.Outage("HelseID is not available")
	ErrInvalid        = redact.Words("the answer is not one of HelseID's")
	ErrIssuerMismatch = redact.Words("the metadata is of another issuer")
	ErrClock          = redact.Words("the clock is off")
)

const (
	wellKnownPath = "/.well-known/openid-configuration"

	// lifetime is what HelseID recommends (requirement FK2).
	lifetime = 24 * time.Hour

	// retryAfterFailure is how long an outdated document serves before the next
	// attempt to renew it, when one has failed.
	retryAfterFailure = time.Minute

	fetchTimeout = 5 * time.Second
	fetchRetries = 2
)

// CheckIssuer reports why an issuer identifier cannot be used.
func CheckIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("is required: for instance helseid.Test.Issuer(), or the member authority of the configuration file")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return errors.New("is not an absolute URL")
	}
	if strings.ContainsAny(issuer, "?#") || u.User != nil {
		return errors.New("must have no query, fragment or user")
	}
	if err := httpx.CheckSecure(u); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}

// NormalIssuer removes the trailing slash that some configurations have, and HelseID's
// metadata and tokens lack.
func NormalIssuer(issuer string) string { return strings.TrimRight(issuer, "/") }

// Source fetches the document on first use and keeps it for a day, and longer
// while it cannot be renewed. A failed first fetch is not remembered.
type Source struct {
	issuer   string
	client   *http.Client
	required []string
	origins  []string // beyond the issuer's

	flight  singleflight.Group
	current atomic.Pointer[fetched]
	clock   atomic.Int64 // nanoseconds that this machine is ahead, as last seen
}

// Allow permits endpoints at origins beyond the issuer's. It is called before the
// first use.
func (s *Source) Allow(origins []string) *Source {
	s.origins = origins
	return s
}

// CheckLocation refuses the URL of an endpoint that is at an origin where the issuer
// has none. The error does not repeat the URL.
func (s *Source) CheckLocation(u *url.URL) error {
	issuer, err := url.Parse(s.issuer)
	if err != nil {
		return err
	}
	return checkOrigin(u, issuer, s.origins)
}

// Issuer is whose metadata it is.
func (s *Source) Issuer() string { return s.issuer }

// ClockDifference is how far this machine's clock was ahead of the server's at
// the last fetch, to a second. It is zero if the answer had no time.
func (s *Source) ClockDifference() time.Duration { return time.Duration(s.clock.Load()) }

type fetched struct {
	document *Document
	asked    time.Time // when the request for it started, by this process's clock
	at       clock.Moment
	lasts    time.Duration
}

// NewSource makes no network call. A document without one of the required
// endpoints is not kept.
func NewSource(issuer string, client *http.Client, required ...string) *Source {
	return &Source{issuer: issuer, client: client, required: required}
}

// Current returns the document if it need not be fetched, or nil.
func (s *Source) Current() *Document {
	if current := s.current.Load(); current != nil && current.goodEnough(time.Now()) {
		return current.document
	}
	return nil
}

// Get returns the document. Callers share a fetch, and it runs with the context
// of the first caller, so that context must not end with one caller's request. After a
// failure an old document is returned.
func (s *Source) Get(ctx context.Context) (*Document, error) {
	if document := s.Current(); document != nil {
		return document, nil
	}
	result, err, _ := s.flight.Do("", func() (any, error) {
		now := time.Now()
		current := s.current.Load()
		if current != nil && current.goodEnough(now) {
			return current.document, nil
		}
		document, err := s.fetch(ctx, fetchRetries)
		switch {
		case err == nil:
			s.keep(document, now)
		case current == nil:
			return nil, err
		default:
			document = current.document
			s.current.CompareAndSwap(current, &fetched{document: document, asked: current.asked, at: clock.At(now), lasts: retryAfterFailure})
		}
		return document, nil
	})
	if err != nil {
		return nil, err
	}
	return result.(*Document), nil
}

// Renew returns a document that was requested at that time or later, for a caller who
// needs the current one: an outage is an error. It asks once, without a retry. The
// caller bounds how often.
func (s *Source) Renew(ctx context.Context, since time.Time) (*Document, error) {
	if current := s.current.Load(); current != nil && !current.asked.Before(since) {
		return current.document, nil
	}
	now := time.Now()
	document, err := s.fetch(ctx, 0)
	if err != nil {
		return nil, err
	}
	s.keep(document, now)
	return document, nil
}

func (s *Source) keep(document *Document, asked time.Time) {
	s.current.Store(&fetched{document: document, asked: asked, at: clock.At(asked), lasts: lifetime})
}

func (f *fetched) goodEnough(now time.Time) bool { return f.at.Age(now) < f.lasts }

func (s *Source) fetch(ctx context.Context, retries int) (*Document, error) {
	location := s.issuer + wellKnownPath
	resp, body, err := httpx.Get(ctx, s.client, location, httpx.GetPolicy{Timeout: fetchTimeout, Retries: retries})
	switch {
	case errors.Is(err, httpx.ErrTooLarge):
		return nil, fmt.Errorf("metadata: %w: %s: %w", ErrInvalid, location, err)
	case err != nil:
		return nil, fmt.Errorf("metadata: %w: %w: check the issuer, the network and the proxy", ErrUnavailable, err)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return nil, fmt.Errorf("metadata: %w: %s answered status %d", ErrUnavailable, location, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("metadata: %w: %s answered status %d: check the issuer", ErrInvalid, location, resp.StatusCode)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		s.clock.Store(int64(time.Since(date)))
	}
	document, err := Parse(body, s.issuer, s.origins...)
	for _, name := range s.required {
		if err == nil {
			_, err = document.Endpoint(name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("metadata: %s (%s): %w", location, httpx.MediaType(resp.Header), err)
	}
	return document, nil
}
