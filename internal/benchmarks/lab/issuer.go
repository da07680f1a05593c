package lab

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

// What the demonstration tokens are for.
const (
	// Audience is the API that tokens are for, Scope what they grant.
	Audience = "nhn:demo-api"
	Scope    = "nhn:demo-api/read"

	// TokenLifetime is longer than any run.
	TokenLifetime = 24 * time.Hour
)

// Issuer signs tokens as HelseID does, and serves its metadata and keys on
// loopback. helseidtest would do, but for its keys of 2048 bits.
type Issuer struct {
	URL     string
	Private *rsa.PrivateKey

	key    *jose.Key
	server *http.Server
}

// StartIssuer makes a key of this size and listens. Close it.
func StartIssuer(bits int) (*Issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, err
	}
	key, err := jose.NewKey(private, jose.KeyOptions{Algorithm: jose.RS256})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	issuer := &Issuer{URL: "http://" + listener.Addr().String(), Private: private, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["RS256"]}`, issuer.URL, issuer.URL+"/jwks")
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"keys":[%s]}`, key.MarshalPublicJWK())
	})
	issuer.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = issuer.server.Serve(listener) }()
	return issuer, nil
}

// Close ends the server.
func (i *Issuer) Close() { _ = i.server.Close() }

// KeyID is the kid of the issuer's key.
func (i *Issuer) KeyID() string { return i.key.ID() }

// Claims are those of a clinician's token, bound to the key with this
// thumbprint. Names and sizes are as HelseID's.
func (i *Issuer) Claims(thumbprint string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss":                                    i.URL,
		"aud":                                    Audience,
		"iat":                                    now,
		"nbf":                                    now,
		"exp":                                    now + int64(TokenLifetime/time.Second),
		"jti":                                    jose.NewID(),
		"client_id":                              "c4e4f1a0-6d3b-4d0e-9a53-2f1f0b7c9f11",
		"client_amr":                             "private_key_jwt",
		"scope":                                  []string{Scope},
		"sub":                                    "0bq1hVF0yNRmqvCD6xLlwuYJ5vDOEgqUhpC8/xsm+mQ=",
		"sid":                                    "7C2F6E9F1D0A4B35",
		"idp":                                    "testidp-oidc",
		"amr":                                    []string{"pwd"},
		"auth_time":                              now,
		"name":                                   "KVART GREVLING",
		"cnf":                                    map[string]string{"jkt": thumbprint},
		"helseid://claims/client/client_name":    "a client of the benchmarks",
		"helseid://claims/client/client_tenancy": "single-tenant",
		"helseid://claims/client/claims/orgnr_parent": "994598759",
		"helseid://claims/hpr/hpr_number":             "565501872",
		"helseid://claims/identity/pid":               "06828399789",
		"helseid://claims/identity/security_level":    "4",
		"helseid://claims/identity/assurance_level":   "high",
		"helseid://claims/identity/network":           "internett",
	}
}

// Token signs claims.
func (i *Issuer) Token(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	header := fmt.Appendf(nil, `{"alg":"RS256","typ":"at+jwt","kid":%q}`, i.key.ID())
	return i.key.SignRaw(context.Background(), header, payload)
}
