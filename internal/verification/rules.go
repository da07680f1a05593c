package verification

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
)

const (
	// MaxToken is the longest token that is read, in bytes. HelseID's have some 4 KiB
	// with the trust framework's attest.
	MaxToken = 16 << 10

	// MaxAudiences is how many audiences a token may have.
	MaxAudiences = 256

	// DefaultLeeway is how far the clocks may differ.
	DefaultLeeway = 5 * time.Second

	// maxTime is the end of the year 9999, in Unix seconds.
	maxTime = 253402300799
)

// Rules say which tokens are accepted. All fields are required but OtherAudiences
// and Leeway.
type Rules struct {
	// Issuer is what iss must be.
	Issuer string

	// Audience is who aud must name, as the only one unless OtherAudiences is set.
	Audience       string
	OtherAudiences bool

	// Types are the accepted values of the header typ, in the form of
	// [jose.MediaType]. An empty one stands for a header without typ.
	Types []string

	// Leeway is how far the clocks may differ, in seconds.
	Leeway int64

	// Keys are the issuer's.
	Keys *jwks.KeySet

	// Now returns the current time.
	Now func() time.Time
}

// Token is a token that all rules have accepted.
type Token struct {
	Claims     jose.Object
	Validity   Validity
	Generation uint64 // of the keys that the signature was verified with
}

// Verify checks a token. What can be refused without a key is refused first, so that
// foreign and expired tokens cause no request for keys. The error is an *Error, or
// wraps [jwks.ErrUnavailable].
func (r *Rules) Verify(ctx context.Context, token string) (Token, error) {
	if len(token) > MaxToken {
		return Token{}, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseHeader(token, MaxToken)
	if err != nil {
		return Token{}, refuse(ReasonMalformed)
	}
	kid, err := r.checkHeader(compact.Header)
	if err != nil {
		return Token{}, err
	}
	// Until the signature has been verified, nothing is kept of the claims but what
	// refuses a token without it: the sender decides how much there is to keep.
	var validity Validity
	err = compact.Peek(func(claims jose.Object) (err error) {
		validity, err = r.checkClaims(claims)
		return err
	}, "iss", "aud", "exp", "nbf", "iat")
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return Token{}, err
	case err != nil:
		return Token{}, refuse(ReasonMalformed)
	}
	generation, err := checkSignature(ctx, r.Keys, compact, kid)
	if err != nil {
		return Token{}, err
	}
	claims, err := compact.Claims()
	if err != nil { // unreachable: it was read before
		return Token{}, refuse(ReasonMalformed)
	}
	return Token{claims, validity, generation}, nil
}

func (r *Rules) checkHeader(header jose.Object) (kid string, err error) {
	typ, ok := header.Get("typ").Text()
	if !ok && header.Has("typ") || !slices.Contains(r.Types, jose.MediaType(typ)) {
		return "", refuse(ReasonType)
	}
	return keyID(header)
}

func (r *Rules) checkClaims(claims jose.Object) (Validity, error) {
	if issuer, ok := claims.Get("iss").Text(); !ok || issuer != r.Issuer {
		return Validity{}, refuse(ReasonIssuer)
	}
	audience, ok := claims.Get("aud").Texts(MaxAudiences)
	if !ok || !slices.Contains(audience, r.Audience) || len(audience) > 1 && !r.OtherAudiences {
		return Validity{}, refuse(ReasonAudience)
	}
	return r.checkTimes(claims)
}

func (r *Rules) checkTimes(claims jose.Object) (Validity, error) {
	now := r.Now().Unix()
	exp, ok := claims.Get("exp").Seconds()
	if !ok || exp <= 0 || exp > maxTime {
		return Validity{}, refuse(ReasonTime)
	}
	validity := Validity{Expiry: exp}
	if validity.Expired(now, r.Leeway) {
		return Validity{}, refuse(ReasonExpired)
	}
	for _, name := range []string{"nbf", "iat"} {
		value := claims.Get(name)
		if value.Absent() {
			continue
		}
		at, ok := value.Seconds()
		if !ok || at > maxTime {
			return Validity{}, refuse(ReasonTime)
		}
		if validity.Start = max(validity.Start, at); validity.Early(now, r.Leeway) {
			return Validity{}, refuse(ReasonNotYet)
		}
	}
	return validity, nil
}

// Validity is when a token may be used, in Unix seconds.
type Validity struct {
	Start  int64 // the later of nbf and iat, or zero
	Expiry int64
}

// Expired reports that the token may no longer be used. The leeway is in seconds.
func (v Validity) Expired(now, leeway int64) bool { return now >= v.Expiry+leeway }

// Early reports that the token may not be used yet.
func (v Validity) Early(now, leeway int64) bool { return v.Start > now+leeway }
