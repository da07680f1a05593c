package inspect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/verification"
)

// notOfSubject are the claims of an ID token that others of its rules are about.
var notOfSubject = []string{"iss", "aud", "exp", "nbf", "iat", "azp", "nonce", "at_hash", "events"}

func (q questions) inspectIDToken(ctx context.Context, jwt string) (*report, error) {
	r := &report{kind: kindIDToken}
	token := r.parse("token", jwt, verification.MaxToken)
	if token == nil {
		return r, nil
	}
	e, err := q.expecting(token)
	if err != nil {
		return nil, err
	}
	expected := idtoken.Expectation{Nonce: q.nonce, AccessToken: q.accessToken}
	validator := e.idTokens(e.issuer, e.lab.client())
	defer validator.Close()
	j := e.judge(r, "JWT", func(token string) (string, string, error) {
		_, err := validator.Validate(ctx, token, expected)
		return idTokenRefusal(err)
	})
	if q.nonce != "" {
		j.claims["nonce"] = jsonText(q.nonce)
	}
	e.checkKeyID(j)
	transplants := append(e.commonTransplants(token),
		transplant{claims: []string{"events"}, rules: []string{"token_typ"}, detail: "with events it is a logout token"},
		transplant{claims: []string{"azp"}, rules: []string{string(idtoken.ReasonAuthorizedParty)}, detail: textOf(token.claims, "azp")},
		transplant{claims: []string{"nonce"}, rules: []string{string(idtoken.ReasonNonce)}},
		transplant{claims: []string{"at_hash"}, rules: []string{string(idtoken.ReasonTokenHash)}},
	)
	for _, t := range transplants {
		if err := j.rule(token.header, token.claims, t); err != nil {
			return nil, err
		}
	}
	about := transplant{claims: without(token.claims.Names(), notOfSubject...), rules: []string{string(idtoken.ReasonSubject)}, detail: textOf(token.claims, "sub")}
	about.claims = append(about.claims, "sub")
	if err := j.rule(token.header, token.claims, about); err != nil {
		return nil, err
	}
	if q.nonce == "" {
		r.unchecked(string(idtoken.ReasonNonce), "name the nonce of the login with -nonce")
	}
	if q.accessToken == "" {
		r.unchecked(string(idtoken.ReasonTokenHash), "give the access token with -token")
	}
	r.hintTime(q, token, "token_expired")
	r.hintOrigin(token)
	askable, err := q.checkSignature(ctx, r, jwt)
	if err != nil || !askable || e.broken != "" {
		return r, err
	}
	return r, q.verdict(r, e, j, jwt, "package helseid", func(validator *idtoken.Validator) error {
		_, err := validator.Validate(ctx, jwt, expected)
		return err
	})
}

func (q questions) inspectLogoutToken(ctx context.Context, jwt string) (*report, error) {
	r := &report{kind: kindLogoutToken}
	token := r.parse("token", jwt, verification.MaxToken)
	if token == nil {
		return r, nil
	}
	e, err := q.expecting(token)
	if err != nil {
		return nil, err
	}
	validator := e.idTokens(e.issuer, e.lab.client())
	defer validator.Close()
	j := e.judge(r, "logout+jwt", func(token string) (string, string, error) {
		_, err := validator.ValidateLogout(ctx, token)
		return idTokenRefusal(err)
	})
	j.claims["events"] = `{"http://schemas.openid.net/event/backchannel-logout":{}}`
	e.checkKeyID(j)
	rule := []string{string(idtoken.ReasonLogout)}
	for _, t := range append(e.commonTransplants(token),
		transplant{claims: []string{"events"}, rules: rule, detail: "events is not an object with http://schemas.openid.net/event/backchannel-logout"},
		transplant{claims: []string{"jti"}, rules: rule, detail: textOf(token.claims, "jti")},
		transplant{claims: []string{"nonce"}, rules: rule, detail: "a nonce is forbidden here"},
		transplant{claims: []string{"sub", "sid"}, rules: rule, detail: textOf(token.claims, "sub") + ", " + textOf(token.claims, "sid")},
	) {
		if err := j.rule(token.header, token.claims, t); err != nil {
			return nil, err
		}
	}
	r.hintTime(q, token, "token_expired")
	r.hintOrigin(token)
	askable, err := q.checkSignature(ctx, r, jwt)
	if err != nil || !askable || e.broken != "" {
		return r, err
	}
	return r, q.verdict(r, e, j, jwt, "package helseid", func(validator *idtoken.Validator) error {
		_, err := validator.ValidateLogout(ctx, jwt)
		return err
	})
}

func (e *expected) idTokens(issuer string, client *http.Client) *idtoken.Validator {
	source := metadata.NewSource(issuer, client, "jwks_uri")
	return idtoken.New(source, e.audience, client).At(func() time.Time { return e.now })
}

func idTokenRefusal(err error) (rule, problem string, other error) {
	var refused *idtoken.Error
	switch {
	case err == nil:
		return "", "", nil
	case errors.As(err, &refused):
		return string(refused.Reason), refused.Error(), nil
	}
	return "", "", err
}

// verdict asks the validator of ID tokens and logout tokens about the whole, as
// accessTokenVerdict does for access tokens.
func (q questions) verdict(r *report, e *expected, j *judge, jwt, name string, validate func(*idtoken.Validator) error) error {
	rule, problem, err := "", "", error(nil)
	if q.issuer == "" {
		name += ", which does not look at the signature here,"
		var twin string
		if twin, err = e.lab.sign(j.header.taking(e.header, "typ").json(), e.compact.Payload); err != nil {
			return err
		}
		rule, problem, err = j.ask(twin)
	} else {
		client, transport := httpx.OrNew(nil)
		defer transport.CloseIdleConnections()
		validator := e.idTokens(q.issuer, client)
		defer validator.Close()
		rule, problem, err = idTokenRefusal(validate(validator))
	}
	if err == nil {
		r.judged(name, rule, problem)
	}
	return nil
}
