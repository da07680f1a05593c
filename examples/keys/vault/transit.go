package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
)

// transitConfig says where a key is in Vault.
type transitConfig struct {
	Address   string // https://vault.example.no:8200
	Mount     string // of the Transit engine, "transit" as a rule
	Key       string // its name
	TokenFile string // holds Vault's token, as Vault's agent writes it
}

// transitSigner signs with a key of Vault's Transit engine, which Vault does not give
// away. It is used in place of a private key:
//
//	signer, err := openTransit(ctx, config)
//	key, err := clientassertion.NewKey(signer, clientassertion.KeyOptions{})
//
// Source: HashiCorp Vault, Transit secrets engine (API).
type transitSigner struct {
	config  transitConfig
	engine  string // the engine's URL
	client  *http.Client
	version int // of the key
	public  crypto.PublicKey
}

// As a ContextSigner it stops asking Vault when nobody waits any more.
var _ clientassertion.ContextSigner = (*transitSigner)(nil)

// openTransit asks Vault for the newest version of the key, and signs with that one from
// then on: HelseID does not know a version that Vault makes later, until it is
// registered.
func openTransit(ctx context.Context, config transitConfig) (*transitSigner, error) {
	address, err := url.Parse(config.Address)
	if err != nil || address.Host == "" {
		return nil, errors.New("vault's address is not an absolute URL")
	}
	if address.Scheme != "https" && !(address.Scheme == "http" && isLoopback(address.Hostname())) {
		return nil, errors.New("vault's address must be https: it is sent a token")
	}
	s := &transitSigner{
		config: config,
		engine: address.JoinPath("v1", config.Mount).String(),
		client: &http.Client{
			Timeout: 30 * time.Second,
			// Vault's token is in a header that net/http would send to any other host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	var key struct {
		LatestVersion int `json:"latest_version"`
		Keys          map[string]struct {
			PublicKey string `json:"public_key"` // PEM
		} `json:"keys"`
	}
	if err := s.ask(ctx, http.MethodGet, "keys/"+url.PathEscape(config.Key), nil, &key); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(key.Keys[strconv.Itoa(key.LatestVersion)].PublicKey))
	if block == nil {
		return nil, fmt.Errorf("vault's key %q has no public key: it must be of a type like rsa-3072 or ecdsa-p256", config.Key)
	}
	if s.public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("vault's key %q: %w", config.Key, err)
	}
	s.version = key.LatestVersion
	return s, nil
}

// Public returns the public key, which has to be registered with HelseID.
func (s *transitSigner) Public() crypto.PublicKey { return s.public }

// Sign is SignContext for callers without a context.
func (s *transitSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignContext(context.Background(), digest, opts)
}

var hashNames = map[crypto.Hash]string{crypto.SHA256: "sha2-256", crypto.SHA384: "sha2-384", crypto.SHA512: "sha2-512"}

// SignContext has Vault sign a digest.
func (s *transitSigner) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash, ok := hashNames[opts.HashFunc()]
	if !ok {
		return nil, fmt.Errorf("%v is not used with HelseID", opts.HashFunc())
	}
	request := map[string]any{
		"input":                base64.StdEncoding.EncodeToString(digest),
		"prehashed":            true,
		"key_version":          s.version,
		"marshaling_algorithm": "asn1", // the form of a crypto.Signer; the SDK makes the one of JWS of it
	}
	if _, isRSA := s.public.(*rsa.PublicKey); isRSA {
		request["signature_algorithm"] = "pkcs1v15"
		if _, isPSS := opts.(*rsa.PSSOptions); isPSS {
			request["signature_algorithm"] = "pss"
			request["salt_length"] = "hash" // RFC 7518, section 3.5; Vault's default is as long as fits
		}
	}
	var answer struct {
		Signature string `json:"signature"`
	}
	if err := s.ask(ctx, http.MethodPost, "sign/"+url.PathEscape(s.config.Key)+"/"+hash, request, &answer); err != nil {
		return nil, err
	}
	encoded, ok := strings.CutPrefix(answer.Signature, fmt.Sprintf("vault:v%d:", s.version))
	if !ok {
		return nil, errors.New("vault has signed with another version of the key")
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("vault's signature is not in Base64")
	}
	return signature, nil
}

// ask makes a request to the engine. An error tells what Vault's status means, and not
// what it or a proxy has answered with it.
func (s *transitSigner) ask(ctx context.Context, method, path string, body, data any) error {
	token, err := os.ReadFile(s.config.TokenFile)
	if err != nil {
		return fmt.Errorf("vault's token: %w", err)
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.engine+"/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("X-Vault-Token", strings.TrimSpace(string(token)))
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("vault answers %s with status %d%s", path, response.StatusCode, meanings[response.StatusCode])
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("vault's answer to %s: %w", path, err)
	}
	return nil
}

// meanings are those that Vault documents for its statuses.
var meanings = map[int]string{
	http.StatusBadRequest:         ": the request does not fit the key",
	http.StatusForbidden:          ": has the token expired, and does its policy permit this?",
	http.StatusNotFound:           ": there is no such key or engine, or the token's policy hides it",
	http.StatusTooManyRequests:    ": a quota is used up",
	http.StatusServiceUnavailable: ": it is sealed or being maintained",
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback() && !address.Is4In6()
}
