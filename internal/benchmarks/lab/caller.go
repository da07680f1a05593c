package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/dpop"
)

// Caller makes the proofs of a client, with a P-256 key.
type Caller struct {
	Private *ecdsa.PrivateKey
	Prover  *dpop.Prover
}

// NewCaller makes a key.
func NewCaller() (*Caller, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := dpop.NewKey(private, dpop.KeyOptions{})
	if err != nil {
		return nil, err
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	if err != nil {
		return nil, err
	}
	return &Caller{private, prover}, nil
}

// Proof makes a proof for a GET.
func (c *Caller) Proof(target *url.URL, token string) (string, error) {
	return c.Prover.Proof(context.Background(), dpop.Target{Method: http.MethodGet, URL: target, AccessToken: token})
}

// Request is a GET as a server sees it, with a token and a fresh proof.
func (c *Caller) Request(target *url.URL, token string) (*http.Request, error) {
	proof, err := c.Proof(target, token)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.RequestURI = target.RequestURI()
	request.RemoteAddr = "127.0.0.1:40000"
	request.Body = http.NoBody
	request.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}, "Accept": {"application/json"}, "User-Agent": {"benchmarks"}}
	return request, nil
}

// Writer takes an answer and keeps its status only.
type Writer struct {
	Status int
	header http.Header
}

// Reset makes it ready for another answer.
func (w *Writer) Reset() {
	w.Status = http.StatusOK
	if w.header == nil {
		w.header = make(http.Header)
	}
	clear(w.header)
}

// Header implements http.ResponseWriter.
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) { w.Status = status }

// Write implements http.ResponseWriter.
func (w *Writer) Write(data []byte) (int, error) { return io.Discard.Write(data) }
