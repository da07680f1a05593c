package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const demoKey = "helseid-client"

// fakeVault speaks as much of Vault's API as the signer needs, in the way that Vault's
// documentation describes. Its defaults are Vault's, also where HelseID needs others.
type fakeVault struct {
	*httptest.Server
	tokenFile string

	mu    sync.Mutex
	token string
	keys  map[string][]crypto.Signer // the versions, from 1 on
}

// startFakeVault starts one that has the key demoKey, of a kind that Vault has, and puts a
// token into the folder.
func startFakeVault(folder, kind string) (*fakeVault, error) {
	v := &fakeVault{token: "hvs." + rand.Text(), keys: make(map[string][]crypto.Signer), tokenFile: filepath.Join(folder, "vault-token")}
	if err := os.WriteFile(v.tokenFile, []byte(v.token+"\n"), 0o600); err != nil {
		return nil, err
	}
	if err := v.addVersion(demoKey, kind); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/transit/keys/{name}", v.readKey)
	mux.HandleFunc("POST /v1/transit/sign/{name}/{hash}", v.sign)
	v.Server = httptest.NewServer(v.guard(mux))
	return v, nil
}

// addVersion makes a key, or a new version of it.
func (v *fakeVault) addVersion(name, kind string) (err error) {
	var key crypto.Signer
	switch kind {
	case "rsa-3072":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case "ecdsa-p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa-p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		err = fmt.Errorf("no type of key: %s", kind)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[name] = append(v.keys[name], key)
	return err
}

func (v *fakeVault) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		permitted := r.Header.Get("X-Vault-Token") == v.token
		v.mu.Unlock()
		if !permitted {
			refuse(w, http.StatusForbidden, "permission denied")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (v *fakeVault) versions(r *http.Request) []crypto.Signer {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keys[r.PathValue("name")]
}

func (v *fakeVault) readKey(w http.ResponseWriter, r *http.Request) {
	versions := v.versions(r)
	if len(versions) == 0 {
		refuse(w, http.StatusNotFound)
		return
	}
	keys := make(map[string]any)
	for i, key := range versions {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			refuse(w, http.StatusInternalServerError, "internal error")
			return
		}
		keys[strconv.Itoa(i+1)] = map[string]any{
			"creation_time": time.Now().UTC().Format(time.RFC3339Nano),
			"public_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		}
	}
	answer(w, map[string]any{
		"name": r.PathValue("name"), "latest_version": len(versions), "supports_signing": true, "exportable": false, "keys": keys,
	})
}

func (v *fakeVault) sign(w http.ResponseWriter, r *http.Request) {
	request := struct {
		Input               string `json:"input"`
		KeyVersion          int    `json:"key_version"`
		Prehashed           bool   `json:"prehashed"`
		SignatureAlgorithm  string `json:"signature_algorithm"`
		MarshalingAlgorithm string `json:"marshaling_algorithm"`
		SaltLength          string `json:"salt_length"`
	}{SignatureAlgorithm: "pss", MarshalingAlgorithm: "asn1", SaltLength: "auto"}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&request)
	input, inputErr := base64.StdEncoding.DecodeString(request.Input)
	if err != nil || inputErr != nil {
		refuse(w, http.StatusBadRequest, "failed to parse the request")
		return
	}
	versions := v.versions(r)
	if request.KeyVersion == 0 {
		request.KeyVersion = len(versions)
	}
	if request.KeyVersion < 1 || request.KeyVersion > len(versions) {
		refuse(w, http.StatusBadRequest, "signing key not found")
		return
	}
	hash := map[string]crypto.Hash{"sha2-256": crypto.SHA256, "sha2-384": crypto.SHA384, "sha2-512": crypto.SHA512}[r.PathValue("hash")]
	if hash == 0 || request.MarshalingAlgorithm != "asn1" { // jws is not imitated
		refuse(w, http.StatusBadRequest, "invalid hash algorithm or marshaling type")
		return
	}
	if !request.Prehashed {
		hasher := hash.New()
		_, _ = hasher.Write(input)
		input = hasher.Sum(nil)
	}
	key := versions[request.KeyVersion-1]
	var opts crypto.SignerOpts = hash
	if request.SignatureAlgorithm == "pss" {
		if _, isRSA := key.(*rsa.PrivateKey); isRSA {
			salt := map[string]int{"auto": rsa.PSSSaltLengthAuto, "hash": rsa.PSSSaltLengthEqualsHash}
			opts = &rsa.PSSOptions{SaltLength: salt[request.SaltLength], Hash: hash}
		}
	}
	signature, err := key.Sign(rand.Reader, input, opts)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, map[string]any{"signature": fmt.Sprintf("vault:v%d:%s", request.KeyVersion, base64.StdEncoding.EncodeToString(signature))})
}

func answer(w http.ResponseWriter, data map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"request_id": "7ef2a1ab-5a7b-4c6e-a76b-6a7f1ad8c0a4", "lease_id": "", "renewable": false, "lease_duration": 0,
		"data": data, "wrap_info": nil, "warnings": nil, "auth": nil,
	})
}

func refuse(w http.ResponseWriter, status int, errors ...string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": append([]string{}, errors...)})
}
