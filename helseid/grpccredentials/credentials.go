package grpccredentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/helseid"
)

// The names of the headers, as metadata has them.
const (
	keyToken = "authorization"
	keyProof = "dpop"
)

// RequireTransportSecurity reports that TLS is required, which is so except with
// AllowPlaintextLoopback.
func (c *Credentials) RequireTransportSecurity() bool { return !c.plaintext }

// GetRequestMetadata returns the token and a new proof. gRPC calls it for each attempt
// of a call. The organisation of [helseid.ForOrganization] and the request of
// [helseid.WithTokenRequest] apply.
//
// The error has a code for gRPC, and wraps [helseid.ErrNoToken] and the cause: one of
// [helseid.TokenSource.Authorize].
func (c *Credentials) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	request, err := c.request(ctx, uri)
	if err == nil {
		err = c.tokens.Authorize(ctx, request)
	}
	if err != nil {
		return nil, &noTokenError{err}
	}
	attemptOf(ctx).sent(request)
	values := map[string]string{keyToken: request.Header.Get("Authorization")}
	if proof := request.Header.Get("DPoP"); proof != "" { // none with a bearer token
		values[keyProof] = proof
	}
	return values, nil
}

// request returns the HTTP request that the attempt is, if it goes to the API.
func (c *Credentials) request(ctx context.Context, uri []string) (*http.Request, error) {
	call, ok := credentials.RequestInfoFromContext(ctx)
	if !ok || len(uri) != 1 || !strings.HasPrefix(call.Method, "/") {
		return nil, errors.New("grpccredentials: these credentials are for gRPC's HTTP/2 transport")
	}
	if _, loopback := call.AuthInfo.(loopbackInfo); loopback != c.plaintext {
		return nil, fmt.Errorf("grpccredentials: %w: the connection is not one for %s", helseid.ErrInsecureURL, &c.origin)
	}
	if !c.plaintext && credentials.CheckSecurityLevel(call.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return nil, fmt.Errorf("grpccredentials: %w: the connection is not secure", helseid.ErrInsecureURL)
	}
	called, err := url.Parse(uri[0])
	if err != nil || !strings.EqualFold(withoutPort443(called.Host), withoutPort443(c.origin.Host)) {
		return nil, fmt.Errorf("grpccredentials: %w: the call is not to %s", helseid.ErrOriginRefused, &c.origin)
	}
	target := c.origin
	target.Path = call.Method
	return (&http.Request{Method: http.MethodPost, URL: &target, Header: make(http.Header)}).WithContext(ctx), nil
}

// withoutPort443 removes the port that gRPC removes, too.
func withoutPort443(host string) string { return strings.TrimSuffix(host, ":443") }

// noTokenError means that a call was not sent.
type noTokenError struct{ cause error }

func (e *noTokenError) Error() string { return fmt.Sprintf("%v: %v", helseid.ErrNoToken, e.cause) }

// Unwrap returns helseid.ErrNoToken and the cause.
func (e *noTokenError) Unwrap() []error { return []error{helseid.ErrNoToken, e.cause} }

// GRPCStatus returns the code by which gRPC and others decide what to do.
func (e *noTokenError) GRPCStatus() *status.Status {
	code := codes.Unauthenticated
	switch {
	case errors.Is(e.cause, context.Canceled):
		code = codes.Canceled
	case errors.Is(e.cause, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(e.cause, helseid.ErrUnavailable):
		code = codes.Unavailable
	}
	return status.New(code, e.Error())
}
