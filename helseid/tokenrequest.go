package helseid

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/httpx"
)

// TokenRequest says which token is wanted, and where it may be sent. The zero
// value asks for a token with every API scope that the client has been granted.
type TokenRequest struct {
	// Scopes to ask for, such as "nhn:kjernejournal/api". Order and repetition
	// do not matter. Empty leaves the parameter out.
	Scopes []string

	// Resource is the short name of the one API that the token is for, such as
	// "nhn:kjernejournal" (RFC 8707). Empty leaves the parameter out.
	Resource string

	// Details are structured details for the client assertion's
	// assertion_details.
	Details []clientassertion.Detail

	// AcceptMissingScopes accepts a token that was granted without some of
	// Scopes. By default that is an error (ErrScopeNotGranted), since the API
	// would refuse the call later and with less to go by.
	AcceptMissingScopes bool

	// AllowedOrigins are the origins ("https://api.example.no") that requests
	// with the token may go to, also by redirect. Empty means any https origin,
	// and redirects within the origin that was called only.
	AllowedOrigins []string
}

type tokenRequestKey struct{}

// WithTokenRequest returns a context whose requests use this token request in
// place of the one that was given to HTTPClient. It is the only request for
// Client.Authorize.
func WithTokenRequest(ctx context.Context, request TokenRequest) context.Context {
	return context.WithValue(ctx, tokenRequestKey{}, request)
}

func tokenRequestFrom(ctx context.Context) (TokenRequest, bool) {
	request, ok := ctx.Value(tokenRequestKey{}).(TokenRequest)
	return request, ok
}

// preparedRequest is a token request that has been checked and brought into one
// form, with the key of its token in the cache.
type preparedRequest struct {
	scopes         []string // sorted, without repetition
	resource       string
	details        []clientassertion.Detail
	acceptMissing  bool
	allowedOrigins []string
	key            cacheKey
}

// cacheKey identifies one token. It is a hash of everything that the token
// depends on.
type cacheKey [sha256.Size]byte

func (c *Client) prepare(request TokenRequest) (*preparedRequest, error) {
	prepared := &preparedRequest{
		scopes:        slices.Compact(slices.Sorted(slices.Values(request.Scopes))),
		resource:      request.Resource,
		details:       slices.Clone(request.Details),
		acceptMissing: request.AcceptMissingScopes,
	}
	var errs []error
	for _, scope := range prepared.scopes {
		if !validScope(scope) {
			errs = append(errs, fmt.Errorf("field Scopes: %q is not one scope: each element is one name without spaces or quotes", scope))
		}
	}
	if strings.ContainsFunc(request.Resource, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		errs = append(errs, errors.New("field Resource holds a space or control character"))
	}
	for _, text := range request.AllowedOrigins {
		origin, err := url.Parse(text)
		if err == nil {
			err = httpx.CheckSecure(origin)
		}
		if err != nil || strings.Trim(origin.Path, "/") != "" || origin.RawQuery != "" {
			errs = append(errs, fmt.Errorf("field AllowedOrigins: %q is not an origin such as https://api.example.no", text))
			continue
		}
		prepared.allowedOrigins = append(prepared.allowedOrigins, httpx.Origin(origin))
	}
	details, err := json.Marshal(prepared.details)
	if err != nil {
		errs = append(errs, fmt.Errorf("field Details: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: token request: %w", ErrConfig, err)
	}
	prepared.key = c.cacheKey(grantClientCredentials, prepared, string(details))
	return prepared, nil
}

// cacheKey hashes the parts with their lengths, so that no two lists of parts
// can meet.
func (c *Client) cacheKey(grant string, request *preparedRequest, details string) cacheKey {
	hash := sha256.New()
	add := func(part string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	for _, part := range []string{c.config.Issuer, c.config.ClientID, grant, tokenTypeDPoP, c.prover.Thumbprint(), request.resource, details} {
		add(part)
	}
	for _, scope := range request.scopes {
		add(scope)
	}
	return cacheKey(hash.Sum(nil))
}

// validScope is scope-token of RFC 6749 section 3.3 and the backslash, which
// HelseID's older scope names hold.
func validScope(scope string) bool {
	if scope == "" || len(scope) > 1024 {
		return false
	}
	for i := range len(scope) {
		if c := scope[i]; c <= ' ' || c > '~' || c == '"' {
			return false
		}
	}
	return true
}
