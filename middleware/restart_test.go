package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/middleware"
)

// A restarted API refuses proofs from before the restart, over sockets. With a nonce
// the client is told to make another proof, and succeeds.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		nonces bool
		code   string
	}{
		"without nonces": {false, "invalid_dpop_proof"},
		"with nonces":    {true, "use_dpop_nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t)
			secret := make([]byte, 32) // outlives the process
			var handler http.Handler
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
			t.Cleanup(api.Close)
			var nonces *dpop.NonceIssuer
			start := func(proof dpop.VerifierConfig) {
				var err error
				if test.nonces {
					nonces, err = dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: secret})
					require.NoError(t, err)
				}
				proof.Nonces = nonces
				auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, Proof: proof})
				require.NoError(t, err)
				t.Cleanup(auth.Close)
				handler = auth.Require(func(http.ResponseWriter, *http.Request) {})
			}
			token := server.Token()
			request := func(options ...mint.ProofOption) *http.Request {
				made, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/journal/1", nil)
				require.NoError(t, err)
				if nonces != nil {
					options = append(options, mint.ProofClaim("nonce", nonces.Nonce()))
				}
				server.Authorize(made, token, options...)
				return made
			}
			send := func(request *http.Request) *http.Response {
				response, err := http.DefaultClient.Do(request) //nolint:forbidigo // to loopback, and the test has a deadline
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				return response
			}
			start(dpop.VerifierConfig{AcceptProofsFromBeforeStart: true}) // as if it had run for long
			used := request(proofAt(-2))
			require.Equal(t, http.StatusOK, send(used).StatusCode)
			start(dpop.VerifierConfig{})
			refused := send(used)
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			require.Contains(t, refused.Header.Get("WWW-Authenticate"), `error="`+test.code+`"`)
			require.Equal(t, test.nonces, refused.Header.Get("DPoP-Nonce") != "")
			require.Equal(t, http.StatusOK, send(request()).StatusCode)
		})
	}
}
