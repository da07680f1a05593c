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
	ErrUnavailable    = redact.Words("HelseID is not available")
	ErrInvalid        = redact.Words("the answer is not one of HelseID's")
	ErrIssuerMismatch = redact.Words("the metadata is of another issuer")
)

const (
	wellKnownPath = "/.well-known/openid-configuration"

	// lifetime is what HelseID recommends (requirement FK2).
	lifetime = 24 * time.Hour

	// retryAfterFailure is how long an outdated document serves before the next
	// attempt to renew it, when one has failed.
	retryAfterFailure = time.Minute

	// renewInterval bounds how often Renew asks the server.
	renewInterval = 5 * time.Minute

	// justFetched is how young a document is that Renew need not ask for again.
	justFetched = time.Second
)

var policy = httpx.GetPolicy{Timeout: 5 * time.Second, Retries: 2}

// CheckIssuer reports why an issuer identifier cannot be used.
func CheckIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("is required: for instance helseid.Test.Issuer, or the member authority of the configuration file")
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

// NormalIssuer cuts the trailing slash off that some configurations have and
// HelseID's metadata and tokens have not.
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
// the last fetch, to a second. It is zero if the server did not tell.
func (s *Source) ClockDifference() time.Duration { return time.Duration(s.clock.Load()) }

type fetched struct {
	document *Document
	at       clock.Moment
	lasts    time.Duration
	renewed  time.Time // when Renew last asked the server, by this process's own clock
}

// NewSource makes no network call. A document without one of the required
// endpoints is not kept.
func NewSource(issuer string, client *http.Client, required ...string) *Source {
	return &Source{issuer: issuer, client: client, required: required}
}

// Current returns the document if it need not be fetched, or nil.
func (s *Source) Current() *Document {
	if current := s.current.Load(); current != nil && current.goodEnough(time.Now(), false) {
		return current.document
	}
	return nil
}

// Get returns the document. Callers share a fetch, and it runs with the context
// of the first of them: give it one that belongs to nobody in particular.
func (s *Source) Get(ctx context.Context) (*Document, error) {
	if document := s.Current(); document != nil {
		return document, nil
	}
	return s.renew(ctx, false)
}

// Renew asks the server for the document once more, at most every five minutes,
// for a caller who has found that something in it is out of date.
func (s *Source) Renew(ctx context.Context) (*Document, error) {
	return s.renew(ctx, true)
}

// renew fetches the document unless the current one is good enough. After a
// failure an old document is better than none.
func (s *Source) renew(ctx context.Context, demanded bool) (*Document, error) {
	result, err, _ := s.flight.Do("", func() (any, error) {
		now := time.Now()
		current := s.current.Load()
		if current != nil && current.goodEnough(now, demanded) {
			return current.document, nil
		}
		next := &fetched{at: clock.At(now), lasts: lifetime}
		if current != nil {
			next.renewed = current.renewed
		}
		if demanded {
			next.renewed = now
		}
		var err error
		if next.document, err = s.fetch(ctx); err != nil {
			if current == nil {
				return nil, err
			}
			next.document, next.lasts = current.document, retryAfterFailure
		}
		s.current.Store(next)
		return next.document, nil
	})
	if err != nil {
		return nil, err
	}
	return result.(*Document), nil
}

func (f *fetched) goodEnough(now time.Time, demanded bool) bool {
	if demanded {
		return now.Sub(f.renewed) < renewInterval || f.at.Age(now) < justFetched
	}
	return f.at.Age(now) < f.lasts
}

func (s *Source) fetch(ctx context.Context) (*Document, error) {
	location := s.issuer + wellKnownPath
	resp, body, err := httpx.Get(ctx, s.client, location, policy)
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
