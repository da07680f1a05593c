package metadata

import (
	"fmt"
	"net/url"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// Document is HelseID's metadata as far as it is used. It says where the
// endpoints are, and never what is allowed: the document advertises more than
// the security profile permits.
type Document struct {
	issuer  *url.URL
	origins []string // beyond the issuer's
	object  jose.Object
}

// members that a lenient reader could confuse with another spelling.
var endpointMembers = []string{
	"issuer", "token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint", "authorization_endpoint",
	"userinfo_endpoint", "revocation_endpoint", "end_session_endpoint",
}

// Parse reads a document and checks that it is the issuer's. Members that are
// not used may have any shape: HelseID's test environment has strings where
// production has booleans. Endpoints are at the issuer's origin or one of those that
// are named.
func Parse(body []byte, issuer string, origins ...string) (*Document, error) {
	object, err := jose.ParseObject(body)
	if err == nil {
		err = object.CheckFolded(endpointMembers...)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	found, ok := object.Get("issuer").Text()
	if !ok {
		return nil, fmt.Errorf("%w: the metadata has no issuer", ErrInvalid)
	}
	if found != issuer {
		return nil, fmt.Errorf("%w: it says %w, the configuration %q", ErrIssuerMismatch, redact.Foreign(fmt.Errorf("%q", redact.Text(found))), issuer)
	}
	base, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: the issuer is not a URL", ErrInvalid)
	}
	return &Document{issuer: base, origins: origins, object: object}, nil
}

// Endpoint reads the URL of an endpoint, by the name of its member. It is https
// unless the issuer itself is plain http on loopback, and at an origin of the
// issuer's, since credentials are sent there.
func (d *Document) Endpoint(name string) (*url.URL, error) {
	text, ok := d.object.Get(name).Text()
	if !ok {
		return nil, fmt.Errorf("%w: the metadata has no %s", ErrInvalid, name)
	}
	endpoint, err := url.Parse(text)
	if err != nil || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "" {
		return nil, fmt.Errorf("%w: the metadata's %s is not a usable URL", ErrInvalid, name)
	}
	if err := httpx.CheckSecure(endpoint); err != nil {
		return nil, fmt.Errorf("%w: the metadata's %s: %w", ErrInvalid, name, err)
	}
	if httpx.IsPlainLoopback(endpoint) && !httpx.IsPlainLoopback(d.issuer) {
		return nil, fmt.Errorf("%w: the metadata's %s is plain http although the issuer is https", ErrInvalid, name)
	}
	if err := checkOrigin(endpoint, d.issuer, d.origins); err != nil {
		return nil, fmt.Errorf("%w: the metadata's %s %w", ErrInvalid, name, err)
	}
	return endpoint, nil
}

func checkOrigin(endpoint, issuer *url.URL, others []string) error {
	origin := httpx.Origin(endpoint)
	if origin == httpx.Origin(issuer) {
		return nil
	}
	for _, other := range others {
		if u, err := url.Parse(other); err == nil && httpx.Origin(u) == origin {
			return nil
		}
	}
	return fmt.Errorf("is at %s, and the issuer at %s: if that is meant, name the origin in EndpointOrigins", redact.Text(origin), httpx.Origin(issuer))
}
