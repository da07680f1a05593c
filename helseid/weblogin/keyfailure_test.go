package weblogin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
)

// brokenKMS is a key whose KMS does not answer.
type brokenKMS struct{ crypto.Signer }

func (brokenKMS) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("throttled")
}

// A key that does not sign just now is no mistake of the user's or of HelseID's: the
// user may try again.
func TestLoginWithoutKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w.client.DPoPKey, err = dpop.NewKey(brokenKMS{private}, dpop.KeyOptions{Algorithm: "ES256"})
	require.NoError(t, err)
	w.client.TokenRetries = -1
	w.start()
	b := w.newBrowser()
	answer := b.get(b.authenticate(b.begin("/login")))
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
}
