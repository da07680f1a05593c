package peers

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"
)

// ownClaims are those of an access token beyond the registered ones.
type ownClaims struct {
	Scope        []string `json:"scope"`
	ClientID     string   `json:"client_id"`
	Confirmation struct {
		Thumbprint string `json:"jkt"`
	} `json:"cnf"`
	Name           string   `json:"name"`
	SessionID      string   `json:"sid"`
	Methods        []string `json:"amr"`
	AuthTime       int64    `json:"auth_time"`
	Tenancy        string   `json:"helseid://claims/client/client_tenancy"`
	Parent         string   `json:"helseid://claims/client/claims/orgnr_parent"`
	HPRNumber      string   `json:"helseid://claims/hpr/hpr_number"`
	PID            string   `json:"helseid://claims/identity/pid"`
	SecurityLevel  string   `json:"helseid://claims/identity/security_level"`
	AssuranceLevel string   `json:"helseid://claims/identity/assurance_level"`
	Network        string   `json:"helseid://claims/identity/network"`
}

var errClaims = errors.New("the claims are not there")

func (c *ownClaims) check() error {
	if c.ClientID == "" || c.Confirmation.Thumbprint == "" || c.HPRNumber == "" {
		return errClaims
	}
	return nil
}

// Validate makes ownClaims custom claims of auth0's.
func (c *ownClaims) Validate(context.Context) error { return c.check() }

// proofClaims are the claims of a DPoP proof.
type proofClaims struct {
	ID       string `json:"jti"`
	Method   string `json:"htm"`
	URI      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	Hash     string `json:"ath"`
}

var errProof = errors.New("the proof breaks a rule")

// check has the rules that RFC 9449 section 4.3 has beyond header and signature,
// but for the replay list.
func (c *proofClaims) check(token, target string) error {
	age := time.Now().Unix() - c.IssuedAt
	if c.ID == "" || c.Method != http.MethodGet || c.URI != target || age > 10 || age < -8 || c.Hash != hash([]byte(token)) {
		return errProof
	}
	return nil
}

func hash(data []byte) string {
	digest := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
