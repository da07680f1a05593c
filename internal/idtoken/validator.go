package idtoken

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
	"github.com/helseid-go/sdk/internal/verification"
)

// Validator validates HelseID's ID tokens and logout tokens for one client. It is
// safe for concurrent use.
type Validator struct {
	rules  verification.Rules // of ID tokens
	logout verification.Rules // of logout tokens
}

// New makes a validator for a client of the source's issuer, which must be the only
// audience. The caller has checked all three. It makes no network call.
func New(source *metadata.Source, clientID string, client *http.Client) *Validator {
	rules := verification.Rules{
		Issuer:   source.Issuer(),
		Audience: clientID,
		// HelseID's ID tokens have the type JWT. OpenID Connect does not require
		// one, and any other type means that the token is not an ID token.
		Types:  []string{"jwt", ""},
		Leeway: int64(verification.DefaultLeeway / time.Second),
		Keys:   jwks.New(source, client),
		Now:    time.Now,
	}
	logout := rules
	logout.Types = []string{"logout+jwt", "jwt", ""}
	return &Validator{rules, logout}
}

// At is the same validator with another clock, for tokens that are judged afterwards.
func (v *Validator) At(now func() time.Time) *Validator {
	other := *v
	other.rules.Now, other.logout.Now = now, now
	return &other
}

// Close ends a fetch of keys that is under way.
func (v *Validator) Close() { v.rules.Keys.Close() }

// Expectation says which login an ID token must be of. Printed, logged or
// marshalled it reads "[redacted]".
type Expectation struct {
	redact.Unprintable

	// Nonce is the nonce of the login. Empty means that there was none, as after
	// a refresh; a nonce that the token then has is not looked at.
	Nonce string

	// AccessToken is the access token that came with it: a token with at_hash
	// must have its hash.
	AccessToken string

	// MaxAge is how old the login may be. Zero means any age, and no login
	// is young enough for less.
	MaxAge time.Duration

	// LoggedInSince is when the login must not have been before, give or take
	// verification.DefaultLeeway. The zero time means any.
	LoggedInSince time.Time

	// SecurityLevel is the least that the user must have been authenticated
	// with. Zero means any, also none.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is the same for the assurance level.
	AssuranceLevel identity.AssuranceLevel

	// Previous is what the session's ID token said before a refresh: the new one
	// must be of the same login (OpenID Connect Core section 12.2).
	Previous *identity.IDToken
}

// Validate checks an ID token by the rules of OpenID Connect Core sections
// 3.1.3.7 and 12.2 and of HelseID's page on the matter. The error is an [*Error], or
// wraps [jwks.ErrUnavailable].
func (v *Validator) Validate(ctx context.Context, token string, expected Expectation) (*identity.IDToken, error) {
	verified, err := v.rules.Verify(ctx, token)
	if err != nil {
		return nil, refusal(err)
	}
	object := verified.Claims
	if object.Get("iat").Absent() {
		return nil, refuse(verification.ReasonTime)
	}
	if object.Has("events") {
		return nil, refuse(verification.ReasonType) // a logout token
	}
	if value := object.Get("azp"); !value.Absent() {
		if party, ok := value.Text(); !ok || party != v.rules.Audience {
			return nil, refuse(ReasonAuthorizedParty)
		}
	}
	if expected.Nonce != "" {
		if nonce, ok := object.Get("nonce").Text(); !ok || nonce != expected.Nonce {
			return nil, refuse(ReasonNonce)
		}
	}
	if value := object.Get("at_hash"); !value.Absent() && expected.AccessToken != "" {
		if hash, ok := value.Text(); !ok || hash != accessTokenHash(expected.AccessToken) {
			return nil, refuse(ReasonTokenHash)
		}
	}
	if !v.recentLogin(object, expected) {
		return nil, refuse(ReasonLoginAge)
	}
	login, err := decode(object)
	if err != nil {
		return nil, err
	}
	if login.User.SecurityLevel < expected.SecurityLevel {
		return nil, refuse(ReasonSecurityLevel)
	}
	if login.User.AssuranceLevel < expected.AssuranceLevel {
		return nil, refuse(ReasonAssuranceLevel)
	}
	return login, checkPrevious(login, expected.Previous)
}

// recentLogin reports whether the login is as young as it is expected to be.
func (v *Validator) recentLogin(object jose.Object, expected Expectation) bool {
	if expected.MaxAge == 0 && expected.LoggedInSince.IsZero() {
		return true
	}
	at, ok := object.Get("auth_time").Seconds()
	if !ok {
		return false
	}
	age := v.rules.Now().Unix() - at
	if age < -v.rules.Leeway || expected.MaxAge < 0 {
		return false // in the future, or asked for there
	}
	tooOld := expected.MaxAge > 0 && age > int64(expected.MaxAge/time.Second)+v.rules.Leeway
	tooEarly := !expected.LoggedInSince.IsZero() && at < expected.LoggedInSince.Unix()-v.rules.Leeway
	return !tooOld && !tooEarly
}

// Restore reads an ID token that Validate accepted earlier and that has been
// kept where nobody else can write. Its signature and times are not checked
// again: never call it with a token that came from outside.
func (v *Validator) Restore(token string) (*identity.IDToken, error) {
	compact, err := jose.ParseCompact(token, verification.MaxToken)
	if err != nil {
		return nil, refuse(verification.ReasonMalformed)
	}
	object, err := compact.Claims()
	if err != nil {
		return nil, refuse(verification.ReasonMalformed)
	}
	return decode(object)
}

func decode(object jose.Object) (*identity.IDToken, error) {
	d := &claims.Decoder{Object: object}
	user := d.User(claims.Parties{
		Subject:          d.Text("sub"),
		ClientID:         d.Text("client_id"),
		OriginalClientID: d.Text(claims.OriginalClientID),
	})
	if user == nil || user.Subject == "" {
		return nil, refuse(ReasonSubject)
	}
	nonce, _ := object.Get("nonce").Text()
	token := &identity.IDToken{User: *user, IssuedAt: d.Time("iat"), Expiry: d.Time("exp"), Nonce: nonce}
	token.Malformed = d.Malformed
	return token, nil
}

// checkPrevious compares a refreshed ID token with the one before. What the new
// one leaves out stands as it was.
func checkPrevious(c, previous *identity.IDToken) error {
	if previous == nil {
		return nil
	}
	now, before := &c.User, &previous.User
	switch {
	case now.Subject != before.Subject,
		differs(now.PersonalIdentityNumber.Reveal(), before.PersonalIdentityNumber.Reveal()),
		differs(now.SessionID, before.SessionID),
		differs(now.SecurityLevel, before.SecurityLevel),
		differs(now.AssuranceLevel, before.AssuranceLevel),
		differs(c.Nonce, previous.Nonce),
		!now.AuthenticatedAt.IsZero() && !before.AuthenticatedAt.IsZero() && !now.AuthenticatedAt.Equal(before.AuthenticatedAt):
		return refuse(ReasonOtherLogin)
	case c.IssuedAt.Before(previous.IssuedAt):
		return refuse(verification.ReasonTime)
	}
	return nil
}

// differs reports that both are there and are not the same.
func differs[T comparable](a, b T) bool {
	var none T
	return a != none && b != none && a != b
}

// accessTokenHash is the value of at_hash for HelseID's RS256 (OpenID Connect
// Core section 3.1.3.6): the left half of the SHA-256.
func accessTokenHash(token string) string {
	digest := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
