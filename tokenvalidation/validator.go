package tokenvalidation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/verification"
)

const (
	maxLeeway = time.Minute

	defaultTokenMemory = 64 << 20 // bytes
	minTokenMemory     = 1 << 20
)

// Config says which tokens to accept.
type Config struct {
	// Issuer is HelseID's issuer identifier, such as helseid.Test.Issuer(). It
	// must be https, or http on a loopback host. A trailing slash is cut off.
	// Required.
	Issuer string

	// Audience is the API's short name in HelseID, such as "nhn:some-api".
	// Required.
	Audience string

	// AllowOtherAudiences accepts tokens that are for other APIs as well. By
	// default the API must be the only audience, so that another API that receives
	// the token cannot use it here.
	AllowOtherAudiences bool

	// TokenTypes are the accepted values of the header typ, in any case. Empty
	// means "at+jwt" only (RFC 9068). HelseID's page on validation also permits
	// "JWT", which ID tokens have too.
	TokenTypes []string

	// Leeway is how far the clocks may differ, in whole seconds up to a minute.
	// Zero means 5 seconds.
	Leeway time.Duration

	// TokenMemory is how many bytes the memory of validated tokens may take. With it,
	// the signature of each token is verified once. Zero means 64 MiB,
	// which have room for the claims of some 10 000 tokens; the least is 1 MiB, and -1
	// turns the memory off. It grows as needed, and tokens that were not used for
	// long are removed first. A token is remembered by its hash until it expires or
	// HelseID's keys change. Its times are checked at each use, and a refusal is
	// never remembered.
	TokenMemory int

	// HTTPClient fetches HelseID's metadata and keys. It is copied, not changed.
	// Nil means a client that takes the proxy from the environment. An
	// *http.Transport with InsecureSkipVerify, which would accept keys from anybody,
	// is an error unless it verifies by itself (VerifyConnection or
	// VerifyPeerCertificate) or the issuer is on loopback.
	HTTPClient *http.Client

	// EndpointOrigins are origins ("https://keys.example.no") beyond the issuer's
	// own that its keys and UserInfo may be at. HelseID needs none.
	EndpointOrigins []string

	// Snapshot is the result of [Validator.Snapshot] in an earlier process. With
	// it, tokens can be validated while HelseID cannot be reached. A snapshot older
	// than 24 hours has no effect. It is not signed: whoever can change it can forge
	// tokens, so keep it where nobody else can write.
	Snapshot []byte

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// Validator validates HelseID's access tokens for one API. It is safe for
// concurrent use.
type Validator struct {
	rules  verification.Rules
	keys   *KeySet
	memory *memory // nil: no token is remembered
	clock  *clockCheck
}

// New checks the configuration and reports all its mistakes at once. It makes
// no network call: keys are fetched when the first token arrives. Errors wrap
// [ErrConfig].
func New(config Config) (*Validator, error) {
	var errs []error
	from := KeySetConfig{Issuer: config.Issuer, HTTPClient: config.HTTPClient, EndpointOrigins: config.EndpointOrigins}
	issuer, err := from.check()
	errs = append(errs, err)
	if strings.TrimSpace(config.Audience) == "" {
		errs = append(errs, errors.New("field Audience is required: the API's short name in HelseID"))
	}
	if config.Leeway < 0 || config.Leeway > maxLeeway || config.Leeway%time.Second != 0 {
		errs = append(errs, fmt.Errorf("field Leeway is %v: it must be whole seconds, 0 to %v", config.Leeway, maxLeeway))
	}
	if config.TokenMemory < -1 || config.TokenMemory > 0 && config.TokenMemory < minTokenMemory {
		errs = append(errs, fmt.Errorf("field TokenMemory is %d: it must be %d or more bytes, or -1 for none", config.TokenMemory, minTokenMemory))
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
	keys := newKeySet(issuer, from)
	if config.Snapshot != nil {
		if err := keys.keys.Restore(config.Snapshot, issuer); err != nil {
			return nil, fmt.Errorf("%w: field Snapshot: %w", ErrConfig, err)
		}
	}
	validator := &Validator{
		rules: verification.Rules{
			Issuer:         issuer,
			Audience:       config.Audience,
			OtherAudiences: config.AllowOtherAudiences,
			Types:          types,
			Leeway:         int64(cmp.Or(config.Leeway, verification.DefaultLeeway) / time.Second),
			Keys:           keys.keys,
			Now:            config.Time,
		},
		keys:  keys,
		clock: newClockCheck(),
	}
	if validator.rules.Now == nil {
		validator.rules.Now = time.Now
	}
	if config.TokenMemory >= 0 {
		validator.memory = newMemory(cmp.Or(config.TokenMemory, defaultTokenMemory), validator.present)
	}
	return validator, nil
}

// Close ends a fetch of keys that is under way, forgets all tokens for good, and
// closes idle connections. Tokens can still be validated with known keys.
func (v *Validator) Close() {
	v.keys.Close()
	if v.memory != nil {
		v.memory.close()
	}
}

// present is the state by which the sweep finds tokens that can no longer be used.
func (v *Validator) present() present {
	return present{v.rules.Keys.LastGeneration(), v.rules.Now().Unix(), v.rules.Leeway}
}

// Snapshot returns HelseID's current keys and where they were found, for
// [Config.Snapshot] in a later process. It holds public information only. Before the
// first token has been validated it is an error.
func (v *Validator) Snapshot() ([]byte, error) { return v.rules.Keys.Snapshot(v.rules.Issuer) }

// Validate checks an access token by every rule of HelseID's page on the
// matter and of RFC 9068, and returns what it says. It does not check the
// binding to a DPoP key: [Claims.Confirmation] says which key the sender must have.
//
// What can be refused without a key is refused first, so that foreign and
// expired tokens cause no request for keys. The error is an [*Error], which is an
// [ErrInvalidToken], or wraps [ErrUnavailable].
func (v *Validator) Validate(ctx context.Context, token string) (*Claims, error) {
	if v.memory == nil || len(token) > verification.MaxToken {
		_, claims, err := v.examine(ctx, token)
		return claims, err
	}
	hash := tokenHash(jose.SHA256(token))
	at := present{v.rules.Keys.Generation(), v.rules.Now().Unix(), v.rules.Leeway}
	if claims, ok := v.memory.recall(hash, at); ok {
		return claims, nil
	}
	verified, claims, err := v.examine(ctx, token)
	if err != nil {
		return nil, err
	}
	v.memory.remember(hash, len(token), verified, claims, at)
	return claims, nil
}

// examine goes through the rules and reads the claims.
func (v *Validator) examine(ctx context.Context, token string) (verification.Token, *Claims, error) {
	verified, err := v.rules.Verify(ctx, token)
	if err != nil {
		return verification.Token{}, nil, publicError(err)
	}
	if tooManyActors(verified.Claims) {
		return verification.Token{}, nil, refuse(ReasonActors)
	}
	return verified, decodeClaims(verified.Claims), nil
}
