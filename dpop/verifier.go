package dpop

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const (
	// DefaultMaxAge is how old a proof may be.
	DefaultMaxAge = 10 * time.Second

	// DefaultMaxFuture is how far a client's clock may be ahead.
	DefaultMaxFuture = 8 * time.Second

	// MaxProof is the longest proof that is read, in bytes. One with an RSA-4096
	// key takes about 2.5 KiB.
	MaxProof = 8 << 10

	// The largest RSA keys that are accepted. A key comes with each proof, and
	// verifying with one of twice the size, or an exponent of twice the length, costs
	// several times as much. HelseID hands out keys of 4096 bits, and everybody's
	// exponent is 65537.
	maxRSABits     = 4096
	maxRSAExponent = 1<<16 + 1

	maxID = 256

	// rememberExtra is how long a used proof is remembered beyond its age limit,
	// for the rounding of clocks to seconds.
	rememberExtra = 2 * time.Second
)

// VerifierConfig says which proofs to accept. The zero value is the strict
// default.
type VerifierConfig struct {
	// Algorithms lists the accepted alg values. Empty means the nine that
	// HelseID accepts: RS, PS and ES with SHA-256, SHA-384 and SHA-512.
	Algorithms []string

	// MaxAge is how old a proof may be, in whole seconds. Zero means
	// DefaultMaxAge.
	MaxAge time.Duration

	// MaxFuture is how far in the future a proof may be dated, in whole seconds.
	// Zero means DefaultMaxFuture.
	MaxFuture time.Duration

	// Replay remembers the proofs that have been used. Nil means a MemoryReplay
	// of default size, which is right for a single process only.
	Replay ReplayStore

	// ReplicaSkew is how far the clocks of the processes that share Replay may
	// differ; used proofs are remembered that much longer.
	ReplicaSkew time.Duration

	// AcceptProofsFromBeforeStart accepts, by a MemoryReplay, proofs that were made
	// before it, which by default are refused (ReasonBeforeStart). It gives up the
	// protection of a proof that was used in the last seconds before a restart: it can
	// then be used once more. A proof with a nonce of a NonceIssuer with a secret of its
	// own is always accepted by the first verifier that gets that issuer, since it cannot
	// have been made before.
	AcceptProofsFromBeforeStart bool

	// Nonces, if set, makes every proof carry a nonce of this server.
	Nonces *NonceIssuer

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// Verifier checks DPoP proofs (RFC 9449 section 4.3). It is safe for concurrent
// use.
type Verifier struct {
	algorithms []string
	maxAge     int64 // seconds
	maxFuture  int64
	remember   time.Duration

	replicaSkew time.Duration
	anyAge      bool // proofs may be older than the replay store
	replay      ReplayStore
	nonces      *NonceIssuer
	now         func() time.Time
}

// NewVerifier checks the configuration and reports all its mistakes at once.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	var errs []error
	known := make([]string, 0, 9)
	for _, algorithm := range jose.Algorithms() {
		known = append(known, string(algorithm))
	}
	for _, name := range config.Algorithms {
		if !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("field Algorithms: %q is not one of %s", name, strings.Join(known, ", ")))
		}
	}
	algorithms := config.Algorithms
	if len(algorithms) == 0 {
		algorithms = known
	}
	seconds := func(name string, value, standard time.Duration) time.Duration {
		if value == 0 {
			return standard
		}
		if value < time.Second || value > 5*time.Minute || value%time.Second != 0 {
			errs = append(errs, fmt.Errorf("field %s is %v: it must be 1s to 5m in whole seconds", name, value))
		}
		return value
	}
	maxAge := seconds("MaxAge", config.MaxAge, DefaultMaxAge)
	maxFuture := seconds("MaxFuture", config.MaxFuture, DefaultMaxFuture)
	if config.ReplicaSkew < 0 {
		errs = append(errs, errors.New("field ReplicaSkew is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	replay := config.Replay
	if replay == nil {
		replay = NewMemoryReplay(0)
	}
	now := config.Time
	if now == nil {
		now = time.Now
	}
	return &Verifier{
		algorithms: slices.Clone(algorithms),
		maxAge:     int64(maxAge / time.Second),
		maxFuture:  int64(maxFuture / time.Second),
		remember:   maxAge + rememberExtra + config.ReplicaSkew,

		replicaSkew: config.ReplicaSkew,
		anyAge:      config.AcceptProofsFromBeforeStart || config.Nonces != nil && config.Nonces.takeFirst(),
		replay:      replay,
		nonces:      config.Nonces,
		now:         now,
	}, nil
}

// Algorithms lists the accepted alg values, as a challenge's algs parameter
// names them.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.algorithms) }

// Expectation is the request that a proof must be for. Printed, logged or
// marshalled it reads "[redacted]".
type Expectation struct {
	unprintable

	// Method is the request's method. Required.
	Method string

	// URI is the request's URL as the client sees it; query and fragment are
	// ignored. Whoever builds it from the parts of a request checks them first: a
	// host is the sender's to choose and could hold a path, and a number sign in the
	// path would hide what stands behind it. Required.
	URI string

	// AccessToken is the token that came with the proof; the proof's ath must be
	// its hash. Empty at a token endpoint, where a proof has no ath.
	AccessToken string

	// Thumbprint is the access token's cnf.jkt; the proof's key must have it.
	// Empty means any key.
	Thumbprint string

	// Client is whose share of the replay store the proof takes, such as the access
	// token's client_id. Empty means the key's.
	Client string
}

// Proof is a proof that has been verified.
type Proof struct {
	// ID is the jti.
	ID string

	// Thumbprint is the RFC 7638 thumbprint of the proof's key.
	Thumbprint string

	// IssuedAt is the iat, in UTC.
	IssuedAt time.Time

	// Nonce is the nonce, or "".
	Nonce string
}

// Verify checks one proof, cheapest rule first and the signature last but one.
// Only a proof that is good in all other respects is looked up, and recorded,
// in the replay store.
//
// The error is a *ProofError, which is an ErrInvalidProof and perhaps an
// ErrUseNonce, or wraps ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, proof string, expected Expectation) (*Proof, error) {
	if len(proof) > MaxProof {
		return nil, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseHeader(proof, MaxProof)
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	key, err := v.headerKey(compact.Header)
	if err != nil {
		return nil, err
	}
	if expected.Thumbprint != "" && key.Thumbprint() != expected.Thumbprint {
		return nil, refuse(ReasonBinding)
	}
	verified, err := v.checkClaims(compact, expected)
	if err != nil {
		return nil, err
	}
	verified.Thumbprint = key.Thumbprint()
	if err := compact.Verify(key); err != nil {
		return nil, refuse(ReasonSignature)
	}
	if err := v.checkFirstUse(ctx, verified, expected.Client); err != nil {
		return nil, err
	}
	return verified, nil
}

// headerKey checks the header and returns its key, which signs with nothing but
// the header's algorithm.
func (v *Verifier) headerKey(header jose.Object) (*jose.PublicKey, error) {
	if typ, ok := header.Get("typ").Text(); !ok || jose.MediaType(typ) != headerType {
		return nil, refuse(ReasonType)
	}
	algorithm, ok := header.Get("alg").Text()
	if !ok || !slices.Contains(v.algorithms, algorithm) {
		return nil, refuse(ReasonAlgorithm)
	}
	jwk, ok := header.Get("jwk").Object()
	if !ok {
		return nil, refuse(ReasonKey)
	}
	key, err := jose.ParsePublicJWK(jwk, jose.Algorithm(algorithm))
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return nil, refuse(ReasonAlgorithm)
	case err != nil:
		return nil, refuse(ReasonKey)
	}
	if public, ok := key.CryptoKey().(*rsa.PublicKey); ok && (public.N.BitLen() > maxRSABits || public.E > maxRSAExponent) {
		return nil, refuse(ReasonKey)
	}
	return key, nil
}

// checkClaims looks at the claims where they lie, and copies what it returns.
func (v *Verifier) checkClaims(compact *jose.Compact, expected Expectation) (*Proof, error) {
	var found *Proof
	err := compact.Peek(func(claims jose.Object) (err error) {
		found, err = v.readClaims(claims, expected)
		return err
	}, "jti", "htm", "htu", "iat", "exp", "nbf", "ath", "nonce")
	switch {
	case errors.Is(err, ErrInvalidProof):
		return nil, err
	case err != nil:
		return nil, refuse(ReasonMalformed)
	}
	return found, nil
}

func (v *Verifier) readClaims(claims jose.Object, expected Expectation) (*Proof, error) {
	id, ok := claims.Get("jti").Text()
	if !ok || id == "" || len(id) > maxID {
		return nil, refuse(ReasonID)
	}
	if htm, ok := claims.Get("htm").Text(); !ok || htm == "" || htm != expected.Method {
		return nil, refuse(ReasonMethod)
	}
	htu, ok := claims.Get("htu").Text()
	if !ok || !sameURI(htu, expected.URI) {
		return nil, refuse(ReasonURI)
	}
	issuedAt, err := v.checkTimes(claims)
	if err != nil {
		return nil, err
	}
	ath, hasHash := claims.Get("ath").Text()
	if expected.AccessToken == "" {
		if claims.Has("ath") {
			return nil, refuse(ReasonTokenHash)
		}
	} else if !hasHash || ath != accessTokenHash(expected.AccessToken) {
		return nil, refuse(ReasonTokenHash)
	}
	nonce, isText := claims.Get("nonce").Text()
	if !isText && !claims.Get("nonce").Absent() {
		return nil, refuse(ReasonNonce)
	}
	if v.nonces != nil && !v.nonces.Valid(nonce) {
		return nil, refuse(ReasonNonce)
	}
	return &Proof{ID: strings.Clone(id), IssuedAt: issuedAt, Nonce: strings.Clone(nonce)}, nil
}

// checkTimes compares whole seconds. A proof needs no exp and nbf; those it has
// are obeyed. The client chose exp by the clock that it took iat from, so nothing is
// added to it; nbf may be as far ahead as iat.
func (v *Verifier) checkTimes(claims jose.Object) (time.Time, error) {
	now := v.now().Unix()
	iat, ok := claims.Get("iat").Seconds()
	if !ok || now-iat > v.maxAge || iat-now > v.maxFuture {
		return time.Time{}, refuse(ReasonTime)
	}
	if value := claims.Get("exp"); !value.Absent() {
		if exp, ok := value.Seconds(); !ok || now >= exp {
			return time.Time{}, refuse(ReasonTime)
		}
	}
	if value := claims.Get("nbf"); !value.Absent() {
		if nbf, ok := value.Seconds(); !ok || nbf-now > v.maxFuture {
			return time.Time{}, refuse(ReasonTime)
		}
	}
	return time.Unix(iat, 0).UTC(), nil
}

// checkFirstUse records the proof by key and jti only: two spellings of one
// request must not make two proofs of it.
func (v *Verifier) checkFirstUse(ctx context.Context, proof *Proof, client string) error {
	// The store goes by the real time, whatever the verifier's clock says.
	issued := time.Now().Add(proof.IssuedAt.Sub(v.now()))
	use := Use{
		Proof:      sha256.Sum256([]byte(proof.Thumbprint + "." + proof.ID)),
		Thumbprint: sha256.Sum256([]byte(proof.Thumbprint)),
		Expiry:     issued.Add(v.remember).Round(time.Second),
		NotBefore:  issued.Add(-time.Duration(v.maxFuture)*time.Second - v.replicaSkew).Truncate(time.Second),
	}
	if client != "" {
		use.Client = sha256.Sum256([]byte("client." + client))
	}
	if !v.anyAge {
		use.IssuedAt = issued.Round(time.Second)
	}
	first, err := v.replay.Record(ctx, use)
	if errors.Is(err, ErrBeforeStart) {
		return refuse(ReasonBeforeStart)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, redact.Foreign(err)) // of the store
	}
	if !first {
		return refuse(ReasonReplayed)
	}
	return nil
}
