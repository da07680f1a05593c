package tokenvalidation

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

// ErrUserInfoRefused means that HelseID refused a token at the UserInfo endpoint: the
// client that got it must have asked for the scope openid.
var ErrUserInfoRefused = words("HelseID's UserInfo endpoint refused the token: it must have been issued with the scope openid")

// userInfoTimeout bounds a request to the UserInfo endpoint.
const userInfoTimeout = 10 * time.Second

// UserInfo asks HelseID's UserInfo endpoint about the user of an access token that
// this API was called with. Beyond the token's claims it has the details of the
// register of health personnel. Nothing is kept: each call is a request to HelseID,
// which may take ten seconds.
//
// The token is validated first, so that an invalid one causes no request. It is sent
// as a bearer token, as HelseID's page on UserInfo shows it, also if it is bound to its
// client's key, which an API does not have.
//
// The error is an [*Error], also for a token without a user ([ReasonSubject]), or wraps
// [ErrUnavailable], [ErrUserInfoRefused] or the context's error.
func (v *Validator) UserInfo(ctx context.Context, token string) (*identity.UserInfo, error) {
	caller, err := v.Validate(ctx, token)
	if err != nil {
		return nil, err
	}
	if caller.User == nil || caller.User.Subject == "" {
		return nil, refuse(ReasonSubject)
	}
	info, err := askUserInfo(ctx, v.keys.source, v.keys.client, token)
	if err != nil {
		return nil, fmt.Errorf("UserInfo: %w", err)
	}
	if info.User.Subject != caller.User.Subject {
		return nil, fmt.Errorf("UserInfo: %w: the answer is about another person (sub)", ErrUnavailable)
	}
	return info, nil
}

// askUserInfo sends the token to where the metadata says.
func askUserInfo(ctx context.Context, source *metadata.Source, client *http.Client, token string) (*identity.UserInfo, error) {
	document, err := source.Get(context.WithoutCancel(ctx)) // others may wait for it, too
	if err != nil {
		return nil, err
	}
	endpoint, err := document.Endpoint("userinfo_endpoint")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, userInfoTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	httpx.SetUserAgent(request.Header)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := httpx.NoRedirect(client).Do(request) //nolint:bodyclose // ReadBody does
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	body, err := httpx.ReadBody(response)
	switch status := response.StatusCode; {
	case err != nil:
		return nil, fmt.Errorf("%w: the answer broke off: %w", ErrUnavailable, err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("%w (status %d)", ErrUserInfoRefused, status)
	case status != http.StatusOK || !httpx.IsJSON(response.Header):
		return nil, fmt.Errorf("%w: it answered status %d with %s", ErrUnavailable, status, httpx.MediaType(response.Header))
	}
	info, err := claims.ParseUserInfo(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the answer is not about a person", ErrUnavailable)
	}
	return info, nil
}
