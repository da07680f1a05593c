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
	defaultMaxAge    = 10 * time.Second
	defaultMaxFuture = 8 * time.Second // how far a client's clock may be ahead

	maxProof = jose.MaxProof

	// The largest RSA keys that are accepted. The sender chooses the key of a proof,
	// and verifying with a key of twice the size, or an exponent of twice the length,
	// costs several times as much. HelseID issues keys of 4096 bits, and 65537 is the
	// usual exponent.
	maxRSABits     = 4096
	maxRSAExponent = 1<<16 + 1

	maxID = 256

	// rememberExtra is how long a used proof is remembered beyond its maximum age,
	// because times are rounded to seconds.
	rememberExtra = 2 * time.Second
)

// VerifierConfig says which proofs are accepted. The zero value is the strict default.
type VerifierConfig struct {
	// Algorithms lists the accepted alg values. Empty means the nine that HelseID
	// accepts: RS, PS and ES with SHA-256, SHA-384 and SHA-512.
	Algorithms []string

	// MaxAge is the maximum age of a proof, in whole seconds from 1s to 5m. Zero means
	// 10 seconds.
	MaxAge time.Duration

	// MaxFuture is how far in the future a proof may be dated, in whole seconds from 1s
	// to 5m. Zero means 8 seconds.
	MaxFuture time.Duration

	// Replay remembers the proofs that have been used. Nil means a [MemoryReplay] of
	// default size, which is suitable for a single process only.
	Replay ReplayStore

	// ReplicaSkew is how much the clocks of the processes that share Replay may differ.
	// Used proofs are remembered that much longer.
	ReplicaSkew time.Duration

	// AcceptProofsFromBeforeStart makes a [MemoryReplay] accept proofs that were made
	// before the store, which it refuses by default (ReasonBeforeStart). This gives up
	// protection after a restart: a proof that was used in the last seconds before it
	// can be used once more. A proof with a nonce of a [NonceIssuer] with a random
	// secret is always accepted by the first verifier that gets that issuer, since it
	// cannot be older than the process.
	AcceptProofsFromBeforeStart bool

	// Nonces, if set, requires a nonce of this server in every proof.
	Nonces *NonceIssuer

	// Time returns the current time. Nil means [time.Now].
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
	anyAge      bool // proofs from before the replay store was made are accepted
	replay      ReplayStore
	nonces      *NonceIssuer
	now         func() time.Time
}

// NewVerifier checks the configuration and reports all its mistakes at once. The error
// wraps ErrConfig.
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
	maxAge := seconds("MaxAge", config.MaxAge, defaultMaxAge)
	maxFuture := seconds("MaxFuture", config.MaxFuture, defaultMaxFuture)
	if config.ReplicaSkew < 0 {
		errs = append(errs, errors.New("field ReplicaSkew is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	replay := config.Replay
	if replay == nil {
		replay = NewMemoryReplay(MemoryReplayConfig{})
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

// Algorithms returns the accepted alg values, as they are listed in the algs parameter
// of a challenge.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.algorithms) }

// Expectation is the request that a proof must be for. Printed, logged or
// marshalled it reads "[redacted]".
type Expectation struct {
	unprintable

	// Method is the request's method. Required.
	Method string

	// URI is the request's URL as the client sees it; query and fragment are ignored.
	// Required. Code that builds it from the parts of a request must check them first:
	// the sender chooses the host, which could contain a path, and a number sign in the
	// path would hide everything after it.
	URI string

	// AccessToken is the token that came with the proof; ath must be its hash. Leave it
	// empty at a token endpoint, where a proof has no ath.
	AccessToken string

	// Thumbprint is the access token's cnf.jkt, which must be the thumbprint of the
	// proof's key. Empty means that any key is accepted.
	Thumbprint string

	// Client identifies the client whose share of the replay store the proof uses, such
	// as the access token's client_id. Empty means that the key identifies the client.
	Client string
}

// Proof is a verified proof.
type Proof struct {
	// ID is the claim jti.
	ID string

	// Thumbprint is the RFC 7638 thumbprint of the proof's key.
	Thumbprint string

	// IssuedAt is the claim iat, in UTC.
	IssuedAt time.Time

	// Nonce is the claim nonce, or "".
	Nonce string
}

// Verify checks one proof, the cheapest rules first, and the signature last before the
// replay store. Only a proof that is valid in all other respects is recorded in the
// replay store.
//
// The error is a [*ProofError], which matches [ErrInvalidProof] and, for the nonce,
// [ErrUseNonce], or it wraps [ErrUnavailable].
func (v *Verifier) Verify(ctx context.Context, proof string, expected Expectation) (*Proof, error) {
	if len(proof) > maxProof {
		return nil, refuse(ReasonTooLong)
	}
	compact, err := jose.ParseHeader(proof, maxProof)
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

// headerKey checks the header and returns its key, which can only be used with the
// header's algorithm.
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

// checkClaims reads the claims without copying them, and copies what it returns.
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

// checkTimes compares whole seconds. A proof needs neither exp nor nbf, but they are
// checked if present. The client has derived exp from the same clock as iat, so no
// tolerance is added to exp. nbf may be as far in the future as iat.
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

// checkFirstUse records the proof by its key and jti only: two spellings of the same
// request must not count as two proofs.
func (v *Verifier) checkFirstUse(ctx context.Context, proof *Proof, client string) error {
	// The store uses the real time, whatever the verifier's clock returns.
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
