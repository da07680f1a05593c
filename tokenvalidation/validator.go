package tokenvalidation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	// MaxToken is the longest token that is read, in bytes. With the trust
	// framework's attest HelseID's grow to some 4 KiB.
	MaxToken = 16 << 10

	// DefaultLeeway is how far the API's clock may differ from HelseID's.
	DefaultLeeway = 5 * time.Second

	maxLeeway = time.Minute

	// maxTime is the end of the year 9999, in Unix seconds.
	maxTime = 253402300799
)

// Config says which tokens to accept.
type Config struct {
	// Issuer is HelseID's issuer identifier, such as helseid.Test.Issuer. It
	// must be https, or http on a loopback host. A trailing slash is cut off.
	// Required.
	Issuer string

	// Audience is the API's short name in HelseID, such as "nhn:some-api".
	// Required.
	Audience string

	// AllowOtherAudiences accepts tokens that are for other APIs as well. By
	// default the API must be the only audience, so that no other API that the
	// token is sent to can use it here.
	AllowOtherAudiences bool

	// TokenTypes are the accepted values of the header typ, in any case. Empty
	// means "at+jwt" only (RFC 9068). HelseID's page on validation also permits
	// "JWT", which ID tokens have too.
	TokenTypes []string

	// Leeway is how far the clocks may differ, up to a minute. Zero means
	// DefaultLeeway.
	Leeway time.Duration

	// HTTPClient fetches HelseID's metadata and keys. It is copied, not changed.
	// Nil means a client that takes the proxy from the environment.
	HTTPClient *http.Client

	// Snapshot is the result of Validator.Snapshot in an earlier process. With
	// it, tokens can be validated although HelseID cannot be reached. One older
	// than 24 hours has no effect.
	Snapshot []byte

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// Validator validates HelseID's access tokens for one API. It is safe for
// concurrent use.
type Validator struct {
	issuer   string
	audience string
	several  bool
	types    []string
	leeway   int64 // seconds
	keys     *jwks.KeySet
	now      func() time.Time
}

// New checks the configuration and reports all its mistakes at once. It makes
// no network call: keys are fetched when the first token comes.
func New(config Config) (*Validator, error) {
	var errs []error
	issuer := metadata.NormalIssuer(config.Issuer)
	if err := metadata.CheckIssuer(issuer); err != nil {
		errs = append(errs, fmt.Errorf("field Issuer: %w", err))
	}
	if strings.TrimSpace(config.Audience) == "" {
		errs = append(errs, errors.New("field Audience is required: the API's short name in HelseID"))
	}
	if config.Leeway < 0 || config.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("field Leeway is %v: it must be 0 to %v", config.Leeway, maxLeeway))
	}
	types := []string{"at+jwt"}
	if len(config.TokenTypes) > 0 {
		types = nil
	}
	for _, typ := range config.TokenTypes {
		if strings.TrimSpace(typ) == "" {
			errs = append(errs, errors.New("field TokenTypes holds an empty type"))
		}
		types = append(types, jose.MediaType(strings.TrimSpace(typ)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	client := config.HTTPClient
	if client == nil {
		client = &http.Client{Transport: httpx.NewTransport()}
	}
	keys := jwks.New(metadata.NewSource(issuer, client, "jwks_uri"), client)
	if config.Snapshot != nil {
		if err := keys.Restore(config.Snapshot, issuer); err != nil {
			return nil, fmt.Errorf("%w: field Snapshot: %w", ErrConfig, err)
		}
	}
	validator := &Validator{
		issuer:   issuer,
		audience: config.Audience,
		several:  config.AllowOtherAudiences,
		types:    types,
		leeway:   int64(DefaultLeeway / time.Second),
		keys:     keys,
		now:      config.Time,
	}
	if config.Leeway > 0 {
		validator.leeway = int64(config.Leeway / time.Second)
	}
	if validator.now == nil {
		validator.now = time.Now
	}
	return validator, nil
}

// Close ends a fetch of keys that is under way.
func (v *Validator) Close() { v.keys.Close() }

// Snapshot returns HelseID's current keys and where they were found, for
// Config.Snapshot in a later process. It holds public information only. There
// is none before the first token has been validated.
func (v *Validator) Snapshot() ([]byte, error) { return v.keys.Snapshot(v.issuer) }

// Validate checks an access token by every rule of HelseID's page on the
// matter and of RFC 9068, and returns what it says. It does not check the
// binding to a DPoP key: Claims.Confirmation says what must be shown.
//
// What can be refused without a key is refused first, so that foreign and
// expired tokens cause no request for keys. The error is an *Error, which is an
// ErrInvalidToken, or wraps ErrUnavailable.
func (v *Validator) Validate(ctx context.Context, token string) (*Claims, error) {
	object, err := v.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return decodeClaims(object), nil
}

// verify goes through the rules that access tokens and ID tokens share.
func (v *Validator) verify(ctx context.Context, token string) (jose.Object, error) {
	if len(token) > MaxToken {
		return jose.Object{}, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseCompact(token, MaxToken)
	if err != nil {
		return jose.Object{}, refuse(ReasonMalformed)
	}
	kid, err := v.checkHeader(compact.Header)
	if err != nil {
		return jose.Object{}, err
	}
	object, err := jose.ParseObject(compact.Payload)
	if err != nil {
		return jose.Object{}, refuse(ReasonMalformed)
	}
	if err := v.checkClaims(object); err != nil {
		return jose.Object{}, err
	}
	return object, v.checkSignature(ctx, compact, kid)
}

// maxKeyID bounds the kid header.
const maxKeyID = 256

func (v *Validator) checkHeader(header jose.Object) (kid string, err error) {
	typ, ok := header.Get("typ").Text()
	if !ok && header.Has("typ") || !slices.Contains(v.types, jose.MediaType(typ)) {
		return "", refuse(ReasonType)
	}
	alg, ok := header.Get("alg").Text()
	if !ok || !slices.Contains(jose.Algorithms(), jose.Algorithm(alg)) {
		return "", refuse(ReasonAlgorithm)
	}
	kid, ok = header.Get("kid").Text()
	if !ok || kid == "" || len(kid) > maxKeyID {
		return "", refuse(ReasonKey)
	}
	return kid, nil
}

func (v *Validator) checkClaims(claims jose.Object) error {
	if issuer, ok := claims.Get("iss").Text(); !ok || issuer != v.issuer {
		return refuse(ReasonIssuer)
	}
	audience, ok := textList(claims.Get("aud"))
	if !ok || !slices.Contains(audience, v.audience) || len(audience) > 1 && !v.several {
		return refuse(ReasonAudience)
	}
	return v.checkTimes(claims)
}

func (v *Validator) checkTimes(claims jose.Object) error {
	now := v.now().Unix()
	exp, ok := claims.Get("exp").Seconds()
	if !ok || exp <= 0 || exp > maxTime {
		return refuse(ReasonTime)
	}
	if now >= exp+v.leeway {
		return refuse(ReasonExpired)
	}
	for _, name := range []string{"nbf", "iat"} {
		value := claims.Get(name)
		if value.Absent() {
			continue
		}
		at, ok := value.Seconds()
		if !ok || at > maxTime {
			return refuse(ReasonTime)
		}
		if at > now+v.leeway {
			return refuse(ReasonNotYet)
		}
	}
	return nil
}

// checkSignature verifies with the issuer's keys of this kid. A key is tried
// for its own algorithm only.
func (v *Validator) checkSignature(ctx context.Context, compact *jose.Compact, kid string) error {
	keys, _, err := v.keys.Keys(ctx, kid)
	switch {
	case errors.Is(err, jwks.ErrUnknownKey):
		return refuse(ReasonKey)
	case err != nil:
		return err
	}
	reason := ReasonAlgorithm
	for _, key := range keys {
		err := compact.Verify(key)
		if err == nil {
			return nil
		}
		if errors.Is(err, jose.ErrSignature) {
			reason = ReasonSignature
		}
	}
	return refuse(reason)
}
