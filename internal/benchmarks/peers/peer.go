package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/internal/benchmarks/lab"
)

// World is what all peers work with.
type World struct {
	Issuer    *lab.Issuer
	Caller    *lab.Caller
	ClientKey *ecdsa.PrivateKey // for client assertions
	Target    *url.URL          // of the API, without a query: auth0 refuses one
}

// ClientID and KeyID are those of the client that makes assertions.
const (
	ClientID = "c4e4f1a0-6d3b-4d0e-9a53-2f1f0b7c9f11"
	KeyID    = "a-key"
)

// NewWorld makes the keys, the issuer's with this many bits. Close it.
func NewWorld(bits int) (*World, error) {
	issuer, err := lab.StartIssuer(bits)
	if err != nil {
		return nil, err
	}
	caller, err := lab.NewCaller()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &World{
		Issuer: issuer, Caller: caller, ClientKey: key,
		Target: &url.URL{Scheme: "http", Host: "api.test", Path: "/machine"},
	}, nil
}

// Close ends the issuer.
func (w *World) Close() { w.Issuer.Close() }

// Token is a token for the world's caller.
func (w *World) Token() (string, error) {
	return w.Issuer.Token(w.Issuer.Claims(w.Caller.Prover.Thumbprint()))
}

// Peer is a library, by what it can do; a function is nil if it cannot.
type Peer struct {
	// Name heads the library's figures.
	Name string

	// MakeProof makes an ES256 proof for a GET of the target.
	MakeProof func(token string) (string, error)

	// MakeAssertion makes an ES256 client assertion.
	MakeAssertion func() (string, error)

	// VerifyProof checks a proof for a GET of the target, and its binding to the
	// token.
	VerifyProof func(proof, token, thumbprint string) error

	// ValidateToken checks an access token and reads its claims into a struct.
	ValidateToken func(token string) error

	// Guard is its middleware.
	Guard func(http.Handler) http.Handler

	// Lacks are the checks of the SDK that are missing, by function.
	Lacks Lacks
}

// Lacks names missing checks.
type Lacks struct {
	VerifyProof, ValidateToken, Guard string
}

// All sets every peer up for the world.
func All(world *World) ([]*Peer, error) {
	var all []*Peer
	for _, make := range []func(*World) (*Peer, error){newGolangJWT, newGoJose, newJWX, newOIDC, newAuth0} {
		peer, err := make(world)
		if err != nil {
			return nil, err
		}
		all = append(all, peer)
	}
	return all, nil
}
