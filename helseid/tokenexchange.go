package helseid

import (
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"

	"github.com/helseid-go/sdk/helseid/internal/callcontext"
)

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType    = "urn:ietf:params:oauth:token-type:access_token"
)

// SubjectToken is an access token that an API was called with, to be exchanged for
// one for another API. The result of middleware.Token is one, and so is an
// [identity.Secret].
type SubjectToken interface {
	// Reveal returns the token.
	Reveal() string
}

// WithSubjectToken returns a context whose API calls carry a token that the caller's
// token is exchanged for (RFC 8693): the API that is called sees the same user, and
// this client as the actor. Pass it the token of the request that is being served:
//
//	ctx := helseid.WithSubjectToken(r.Context(), middleware.Token(r.Context()))
//
// Exchanged tokens are cached like others, separately for each subject token. HelseID
// must permit the exchange: in this client's registration, and in that of the client
// that the caller's token belongs to. The new token is about the same user but does
// not contain the name: HelseID copies sub, idp, amr, auth_time and its own claims,
// including the organisation that the caller acts for. [ForOrganization] sets the
// organisation that this client acts for, which the API sees only in the actor.
//
// A call without a subject token in its context is made as a system, with a token
// without a user; [TokenRequest.RequireSubjectToken] makes that an error.
func WithSubjectToken(ctx context.Context, subject SubjectToken) context.Context {
	return context.WithValue(ctx, callcontext.SubjectToken, &subjectToken{subject})
}

// Exchange returns a token that the subject token is exchanged for, from memory or
// from HelseID. API calls with [WithSubjectToken] use it, and its errors are those of
// [TokenSource.Token].
func (c *Client) Exchange(ctx context.Context, subject SubjectToken, request TokenRequest) (*Token, error) {
	return c.Token(WithSubjectToken(ctx, subject), request)
}

// subjectToken is the argument of [WithSubjectToken]. A nil argument causes an error,
// never a token of the client's own.
type subjectToken struct {
	token SubjectToken
}

func (s *subjectToken) reveal() string {
	if value := reflect.ValueOf(s.token); !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
		return ""
	}
	return s.token.Reveal()
}

func (s *subjectToken) origin() (tokenOrigin, error) {
	token := s.reveal()
	if !validToken68(token) {
		return tokenOrigin{}, fmt.Errorf("%w: there is no token to exchange: WithSubjectToken takes the access token that the API was called with", ErrConfig)
	}
	digest := sha256.Sum256([]byte(token))
	return tokenOrigin{grant: grantTokenExchange, owner: string(digest[:])}, nil
}
