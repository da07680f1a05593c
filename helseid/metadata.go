package helseid

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	metadataPath = "/.well-known/openid-configuration"

	// metadataLifetime is what HelseID recommends (requirement FK2).
	metadataLifetime = 24 * time.Hour

	// metadataRetry is how long an outdated document serves before the next
	// attempt to renew it, when one has failed.
	metadataRetry = time.Minute
)

var metadataPolicy = httpx.GetPolicy{Timeout: 5 * time.Second, Retries: 2}

// metadata is what the client uses of HelseID's metadata document. It says
// where the endpoints are, and never what is allowed: the document advertises
// more than the security profile permits.
type metadata struct {
	tokenEndpoint *url.URL
}

// metadataSource fetches the document on first use and keeps it for a day, and
// longer while it cannot be renewed.
type metadataSource struct {
	issuer string
	client *http.Client

	flight  singleflight.Group
	current atomic.Pointer[fetchedMetadata]
}

type fetchedMetadata struct {
	metadata
	renewAt time.Time
}

func (s *metadataSource) get(ctx context.Context) (*metadata, error) {
	current := s.current.Load()
	if current != nil && time.Now().Before(current.renewAt) {
		return &current.metadata, nil
	}
	fetched, err, _ := s.flight.Do("", func() (any, error) { return s.renew(ctx) })
	if err != nil {
		return nil, err
	}
	return &fetched.(*fetchedMetadata).metadata, nil
}

// renew fetches the document; an old one is better than none.
func (s *metadataSource) renew(ctx context.Context) (*fetchedMetadata, error) {
	now := time.Now().Round(0)
	if current := s.current.Load(); current != nil && now.Before(current.renewAt) {
		return current, nil
	}
	document, err := s.fetch(ctx)
	fetched := &fetchedMetadata{metadata: document, renewAt: now.Add(metadataLifetime)}
	if err != nil {
		current := s.current.Load()
		if current == nil {
			return nil, err
		}
		fetched = &fetchedMetadata{metadata: current.metadata, renewAt: now.Add(metadataRetry)}
	}
	s.current.Store(fetched)
	return fetched, nil
}

func (s *metadataSource) fetch(ctx context.Context) (metadata, error) {
	location := s.issuer + metadataPath
	resp, body, err := httpx.Get(ctx, s.client, location, metadataPolicy)
	switch {
	case err != nil:
		return metadata{}, fmt.Errorf("metadata: %w: %w: check the issuer, the network and the proxy", ErrUnavailable, err)
	case temporaryStatus(resp.StatusCode):
		return metadata{}, fmt.Errorf("metadata: %w: %s answered status %d", ErrUnavailable, location, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return metadata{}, fmt.Errorf("metadata: %w: %s answered status %d: check the issuer", ErrInvalidResponse, location, resp.StatusCode)
	}
	document, err := parseMetadata(body, s.issuer)
	if err != nil {
		return metadata{}, fmt.Errorf("metadata: %s (%s): %w", location, httpx.MediaType(resp.Header), err)
	}
	return document, nil
}

// parseMetadata reads only what is used. Other members may have any shape:
// HelseID's test environment has strings where production has booleans.
func parseMetadata(body []byte, issuer string) (metadata, error) {
	object, err := jose.ParseObject(body)
	if err == nil {
		err = object.CheckFolded("issuer", "token_endpoint")
	}
	if err != nil {
		return metadata{}, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	found, ok := object.Get("issuer").Text()
	if !ok {
		return metadata{}, fmt.Errorf("%w: the metadata has no issuer", ErrInvalidResponse)
	}
	if found != issuer {
		return metadata{}, fmt.Errorf("%w: it says %q, the configuration %q", ErrIssuerMismatch, redact.Text(found), issuer)
	}
	endpoint, err := endpointMember(object, "token_endpoint", issuer)
	if err != nil {
		return metadata{}, err
	}
	return metadata{tokenEndpoint: endpoint}, nil
}

// endpointMember reads the URL of an endpoint that will get credentials.
func endpointMember(object jose.Object, name, issuer string) (*url.URL, error) {
	text, ok := object.Get(name).Text()
	if !ok {
		return nil, fmt.Errorf("%w: the metadata has no %s", ErrInvalidResponse, name)
	}
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "" {
		return nil, fmt.Errorf("%w: the metadata's %s is not a usable URL", ErrInvalidResponse, name)
	}
	if err := httpx.CheckSecure(endpoint); err != nil {
		return nil, fmt.Errorf("%w: the metadata's %s: %w", ErrInvalidResponse, name, err)
	}
	base, err := url.Parse(issuer)
	if err != nil || httpx.IsPlainLoopback(endpoint) && !httpx.IsPlainLoopback(base) {
		return nil, fmt.Errorf("%w: the metadata's %s is plain http although the issuer is https", ErrInvalidResponse, name)
	}
	return endpoint, nil
}
