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

	// DefaultTokenMemory is how many bytes validated tokens may take.
	DefaultTokenMemory = 64 << 20

	minTokenMemory = 1 << 20

	// maxTime is the end of the year 9999, in Unix seconds.
	maxTime = 253402300799
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
	// default the API must be the only audience, so that no other API that the
	// token is sent to can use it here.
	AllowOtherAudiences bool

	// TokenTypes are the accepted values of the header typ, in any case. Empty
	// means "at+jwt" only (RFC 9068). HelseID's page on validation also permits
	// "JWT", which ID tokens have too.
	TokenTypes []string

	// Leeway is how far the clocks may differ, in whole seconds up to a minute.
	// Zero means DefaultLeeway.
	Leeway time.Duration

	// TokenMemory is how many bytes the validated tokens may take that are
	// remembered, so that the signature of each is verified once: the claims of
	// some 10 000 tokens in DefaultTokenMemory, which zero means. It is taken as
	// needed, and those unused for long make room. A token is remembered by its
	// hash, until it expires or HelseID's keys change; its times are checked at
	// each use, and a refusal is never remembered. At least 1 MiB, or -1 to
	// remember none.
	TokenMemory int

	// HTTPClient fetches HelseID's metadata and keys. It is copied, not changed.
	// Nil means a client that takes the proxy from the environment. An
	// *http.Transport with InsecureSkipVerify, which lets anybody hand out the keys,
	// is an error unless it verifies by itself (VerifyConnection or
	// VerifyPeerCertificate) or the issuer is on loopback.
	HTTPClient *http.Client

	// EndpointOrigins are origins ("https://keys.example.no") beyond the issuer's
	// own that its keys and UserInfo may be at. HelseID needs none.
	EndpointOrigins []string

	// Snapshot is the result of Validator.Snapshot in an earlier process. With
	// it, tokens can be validated although HelseID cannot be reached. One older
	// than 24 hours has no effect. It is not signed: whoever can change it can make
	// tokens that are accepted, so keep it where nobody else can write.
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
	memory   *memory // nil: no token is remembered
	userInfo userInfoEndpoint
	clock    *clockCheck
	now      func() time.Time

	ownTransport *http.Transport // nil if the caller has supplied a client
}

// New checks the configuration and reports all its mistakes at once. It makes
// no network call: keys are fetched when the first token comes.
func New(config Config) (*Validator, error) {
	var errs []error
	issuer := metadata.NormalIssuer(config.Issuer)
	if err := metadata.CheckIssuer(issuer); err != nil {
		errs = append(errs, fmt.Errorf("field Issuer %w", err))
	}
	if strings.TrimSpace(config.Audience) == "" {
		errs = append(errs, errors.New("field Audience is required: the API's short name in HelseID"))
	}
	if config.Leeway < 0 || config.Leeway > maxLeeway || config.Leeway%time.Second != 0 {
		errs = append(errs, fmt.Errorf("field Leeway is %v: it must be whole seconds, 0 to %v", config.Leeway, maxLeeway))
	}
	if config.TokenMemory < -1 || config.TokenMemory > 0 && config.TokenMemory < minTokenMemory {
		errs = append(errs, fmt.Errorf("field TokenMemory is %d: it must be %d or more bytes, or -1 for none", config.TokenMemory, minTokenMemory))
	}
	errs = append(errs, checkTransport(config.HTTPClient, issuer, config.EndpointOrigins))
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
	var ownTransport *http.Transport
	if client == nil {
		ownTransport = httpx.NewTransport()
		client = &http.Client{Transport: ownTransport}
	}
	source := metadata.NewSource(issuer, client, "jwks_uri").Allow(config.EndpointOrigins)
	keys := jwks.New(source, client)
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
		userInfo: userInfoEndpoint{source, client},
		clock:    newClockCheck(),

		ownTransport: ownTransport,

		now: config.Time,
	}
	if config.Leeway > 0 {
		validator.leeway = int64(config.Leeway / time.Second)
	}
	switch config.TokenMemory {
	case -1:
	case 0:
		validator.memory = newMemory(DefaultTokenMemory, validator.present)
	default:
		validator.memory = newMemory(config.TokenMemory, validator.present)
	}
	if validator.now == nil {
		validator.now = time.Now
	}
	return validator, nil
}

// checkTransport checks the fields that say where keys come from, and how.
func checkTransport(client *http.Client, issuer string, origins []string) error {
	if _, err := httpx.ParseOrigins("EndpointOrigins", origins); err != nil {
		return err
	}
	if err := httpx.CheckVerified(client, append([]string{issuer}, origins...)...); err != nil {
		return fmt.Errorf("field HTTPClient: %w", err)
	}
	return nil
}

// Close ends a fetch of keys that is under way, forgets all tokens for good, and
// closes idle connections. Tokens can still be validated with the keys that are
// known.
func (v *Validator) Close() {
	v.keys.Close()
	if v.memory != nil {
		v.memory.close()
	}
	if v.ownTransport != nil {
		v.ownTransport.CloseIdleConnections()
	}
}

// present is what decides whether a remembered token can be of use, for the sweep of
// those that cannot.
func (v *Validator) present() present {
	return present{v.keys.LastGeneration(), v.now().Unix(), v.leeway}
}

// Snapshot returns HelseID's current keys and where they were found, for
// Config.Snapshot in a later process. It holds public information only. There
// is none before the first token has been validated, which is an error.
func (v *Validator) Snapshot() ([]byte, error) { return v.keys.Snapshot(v.issuer) }

// Validate checks an access token by every rule of HelseID's page on the
// matter and of RFC 9068, and returns what it says. It does not check the
// binding to a DPoP key: Claims.Confirmation says what must be shown.
//
// What can be refused without a key is refused first, so that foreign and
// expired tokens cause no request for keys. The error is an *Error, which is an
// ErrInvalidToken, or wraps ErrUnavailable.
func (v *Validator) Validate(ctx context.Context, token string) (*Claims, error) {
	if v.memory == nil || len(token) > MaxToken {
		object, err := v.verify(ctx, token)
		if err != nil {
			return nil, err
		}
		return decodeClaims(object), nil
	}
	hash := tokenHash(jose.SHA256(token))
	at := present{v.keys.Generation(), v.now().Unix(), v.leeway}
	if claims, ok := v.memory.recall(hash, at); ok {
		return claims, nil
	}
	verified, err := v.examine(ctx, token)
	if err != nil {
		return nil, err
	}
	claims := decodeClaims(verified.object)
	v.memory.remember(hash, len(token), verified, claims, at)
	return claims, nil
}

// verified is a token that every rule has let through.
type verified struct {
	object     jose.Object
	times      validity
	generation uint64 // of the keys that the signature was verified with
}

// verify goes through the rules that access tokens and ID tokens share.
func (v *Validator) verify(ctx context.Context, token string) (jose.Object, error) {
	verified, err := v.examine(ctx, token)
	return verified.object, err
}

func (v *Validator) examine(ctx context.Context, token string) (verified, error) {
	if len(token) > MaxToken {
		return verified{}, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseHeader(token, MaxToken)
	if err != nil {
		return verified{}, refuse(ReasonMalformed)
	}
	kid, err := v.checkHeader(compact.Header)
	if err != nil {
		return verified{}, err
	}
	// Until the signature has been verified nothing is kept of the claims but what
	// refuses a token without it: whoever made the token up could make them dear.
	var times validity
	err = compact.Peek(func(claims jose.Object) (err error) {
		times, err = v.checkClaims(claims)
		return err
	}, "iss", "aud", "exp", "nbf", "iat")
	switch {
	case errors.Is(err, ErrInvalidToken):
		return verified{}, err
	case err != nil:
		return verified{}, refuse(ReasonMalformed)
	}
	generation, err := checkSignature(ctx, v.keys, compact, kid)
	if err != nil {
		return verified{}, err
	}
	object, err := compact.Claims()
	if err != nil { // unreachable: it was read before
		return verified{}, refuse(ReasonMalformed)
	}
	if tooManyActors(object) {
		return verified{}, refuse(ReasonActors)
	}
	return verified{object, times, generation}, nil
}

// maxKeyID bounds the kid header.
const maxKeyID = 256

func (v *Validator) checkHeader(header jose.Object) (kid string, err error) {
	typ, ok := header.Get("typ").Text()
	if !ok && header.Has("typ") || !slices.Contains(v.types, jose.MediaType(typ)) {
		return "", refuse(ReasonType)
	}
	return keyID(header)
}

// keyID is the kid of a header whose alg is one of those that exist here.
func keyID(header jose.Object) (string, error) {
	alg, ok := header.Get("alg").Text()
	if !ok || !slices.Contains(jose.Algorithms(), jose.Algorithm(alg)) {
		return "", refuse(ReasonAlgorithm)
	}
	kid, ok := header.Get("kid").Text()
	if !ok || kid == "" || len(kid) > maxKeyID {
		return "", refuse(ReasonKey)
	}
	return kid, nil
}

func (v *Validator) checkClaims(claims jose.Object) (validity, error) {
	if issuer, ok := claims.Get("iss").Text(); !ok || issuer != v.issuer {
		return validity{}, refuse(ReasonIssuer)
	}
	audience, ok := claims.Get("aud").Texts(maxList)
	if !ok || !slices.Contains(audience, v.audience) || len(audience) > 1 && !v.several {
		return validity{}, refuse(ReasonAudience)
	}
	return v.checkTimes(claims)
}

// validity is when a token may be used, in Unix seconds.
type validity struct {
	start  int64 // the later of nbf and iat, or zero
	expiry int64
}

func (t validity) expired(now, leeway int64) bool { return now >= t.expiry+leeway }

func (t validity) early(now, leeway int64) bool { return t.start > now+leeway }

func (v *Validator) checkTimes(claims jose.Object) (validity, error) {
	now := v.now().Unix()
	exp, ok := claims.Get("exp").Seconds()
	if !ok || exp <= 0 || exp > maxTime {
		return validity{}, refuse(ReasonTime)
	}
	times := validity{expiry: exp}
	if times.expired(now, v.leeway) {
		return validity{}, refuse(ReasonExpired)
	}
	for _, name := range []string{"nbf", "iat"} {
		value := claims.Get(name)
		if value.Absent() {
			continue
		}
		at, ok := value.Seconds()
		if !ok || at > maxTime {
			return validity{}, refuse(ReasonTime)
		}
		if times.start = max(times.start, at); times.early(now, v.leeway) {
			return validity{}, refuse(ReasonNotYet)
		}
	}
	return times, nil
}

// checkSignature verifies with the issuer's keys of this kid, and tells which
// generation they are. A key is tried for its own algorithm only.
func checkSignature(ctx context.Context, set *jwks.KeySet, compact *jose.Compact, kid string) (generation uint64, err error) {
	keys, generation, err := set.Keys(ctx, kid)
	switch {
	case errors.Is(err, jwks.ErrUnknownKey):
		return 0, refuse(ReasonKey)
	case err != nil:
		return 0, err
	}
	reason := ReasonAlgorithm
	for _, key := range keys {
		err := compact.Verify(key)
		if err == nil {
			return generation, nil
		}
		if errors.Is(err, jose.ErrSignature) {
			reason = ReasonSignature
		}
	}
	return 0, refuse(reason)
}
