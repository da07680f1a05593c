package middleware_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
)

// attack is an attack and its documented response.
type attack struct {
	name   string
	config func(*middleware.Config)
	send   func(w *world) *http.Request

	status int
	code   string
	reason string

	// fetches is the number of requests for keys: none, unless the attack names a key
	// that the issuer does not have. In that case the key set also checks, once in five
	// minutes, whether the keys have moved.
	fetches int
}

// answerOf has the response for each reason.
func answerOf(reason string) (status int, code string) {
	switch reason {
	case "no_credentials":
		return http.StatusUnauthorized, ""
	case "authorization_repeated", "proof_missing", "proof_repeated", "proof_unexpected":
		return http.StatusUnauthorized, "invalid_request"
	case "token_too_long", "proof_too_long":
		return http.StatusRequestHeaderFieldsTooLarge, "invalid_request"
	case "authorization_scheme", "token_binding", "proof_key_mismatch":
		return http.StatusUnauthorized, "invalid_token"
	case "original_request", "token_in_query":
		return http.StatusBadRequest, "invalid_request"
	case "proof_nonce":
		return http.StatusUnauthorized, "use_dpop_nonce"
	}
	if strings.HasPrefix(reason, "token_") {
		return http.StatusUnauthorized, "invalid_token"
	}
	if strings.HasPrefix(reason, "proof_") {
		return http.StatusUnauthorized, "invalid_dpop_proof"
	}
	panic("no answer is documented for " + reason)
}

func newAttack(name, reason string, send func(w *world) *http.Request) attack {
	status, code := answerOf(reason)
	a := attack{name: name, reason: reason, send: send, status: status, code: code}
	if reason == "token_unknown_key" {
		a.fetches = 1
	}
	return a
}

// badToken is an attack with a token, and a proof that is made for it.
func badToken(name, reason string, token func(w *world) string) attack {
	return newAttack(name, reason, func(w *world) *http.Request {
		token := token(w)
		return plain("DPoP "+token, w.proof(token, nil, nil))
	})
}

// badClaims and badHeader change a good token before it is signed.
func badClaims(name, reason string, claims edit) attack {
	return badToken(name, reason, func(w *world) string { return w.token(nil, claims) })
}

func badHeader(name, reason string, header edit) attack {
	return badToken(name, reason, func(w *world) string { return w.token(header, nil) })
}

// badProof is an attack with a good token and a proof.
func badProof(name, reason string, proof func(w *world, token string) string) attack {
	return newAttack(name, reason, func(w *world) *http.Request {
		token := w.token(nil, nil)
		return plain("DPoP "+token, proof(w, token))
	})
}

func badProofClaims(name, reason string, claims edit) attack {
	return badProof(name, reason, func(w *world, token string) string { return w.proof(token, nil, claims) })
}

func badProofHeader(name, reason string, header edit) attack {
	return badProof(name, reason, func(w *world, token string) string { return w.proof(token, header, nil) })
}

// attacks is the whole table, by concern.
func attacks() map[string][]attack {
	return map[string][]attack{
		"headers":         headerAttacks(),
		"token format":    tokenFormatAttacks(),
		"token header":    tokenHeaderAttacks(),
		"token claims":    tokenClaimAttacks(),
		"token signature": tokenSignatureAttacks(),
		"binding":         bindingAttacks(),
		"proof header":    proofHeaderAttacks(),
		"proof claims":    proofClaimAttacks(),
		"proof format":    proofFormatAttacks(),
		"location":        locationAttacks(),
		"bearer only":     bearerAttacks(),
	}
}

// Every attack gets its documented response. The response repeats nothing of the
// attack, which causes no request except those that the key set allows, leaves a record
// without secrets, and does not affect the next genuine request.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for concern, table := range attacks() {
		t.Run(concern, func(t *testing.T) {
			t.Parallel()
			for _, a := range table {
				t.Run(a.name, func(t *testing.T) {
					t.Parallel()
					a.run(t)
				})
			}
		})
	}
}

func (a attack) run(t *testing.T) {
	w := newWorld(t, worldOptions{config: a.config, cold: true})
	w.publishForge()
	bearer := a.config != nil && w.isBearer(a.config)
	w.requireLetIn(bearer)
	keys, metadata := w.fetches()
	reached := w.reached()

	request := a.send(w)
	response := w.serve(request)
	require.Equal(t, a.status, response.StatusCode)
	document, found := refusal(t, request, response)
	require.Equal(t, a.reason, document.Reason)
	require.Equal(t, a.code, document.Error)
	scheme := "DPoP"
	if bearer {
		scheme = "Bearer"
	}
	require.Equal(t, scheme, found.scheme)
	require.Equal(t, !bearer, strings.Contains(found.parameters["algs"], "ES256"))
	require.Equal(t, reached, w.reached(), "it got in")

	keysAfter, metadataAfter := w.fetches()
	require.Equal(t, a.fetches, keysAfter-keys, "requests for keys")
	require.LessOrEqual(t, metadataAfter-metadata, a.fetches, "requests for metadata")
	require.Empty(t, w.net.strayed(), "requests to others than HelseID")

	record := w.lastRecord()
	require.False(t, record.Allowed)
	require.Equal(t, a.status, record.Status)
	require.Equal(t, a.reason, record.Reason)
	text := fmt.Sprintf("%+v", record)
	require.NotRegexp(t, testkit.IdentityNumber, text)
	require.NotRegexp(t, testkit.JWS, text)
	for _, secret := range append(request.Header.Values("Authorization"), request.Header.Values("Dpop")...) {
		for part := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '.' || r == ' ' }) {
			if len(part) >= 16 {
				require.NotContains(t, text, part)
			}
		}
	}

	w.requireLetIn(bearer)
	again, _ := w.fetches()
	require.Equal(t, keysAfter, again, "the genuine request needed the keys again")
}

func (w *world) isBearer(configure func(*middleware.Config)) bool {
	var config middleware.Config
	configure(&config)
	return config.BearerOnly
}

func (w *world) requireLetIn(bearer bool) {
	w.Helper()
	if !bearer {
		token := w.token(nil, nil)
		response := w.serve(plain("DPoP "+token, w.proof(token, nil, nil)))
		require.Equal(w, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
		return
	}
	response := w.serve(bearerRequest(w.token(nil, without("cnf"))))
	require.Equal(w, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
}

// The table has the attacks of the peers, the conformance suite, jwt_tool and
// Wycheproof. No attack is ever removed.
func TestAttackCount(t *testing.T) {
	t.Parallel()
	var names []string
	for concern, table := range attacks() {
		for _, a := range table {
			names = append(names, concern+"/"+a.name)
		}
	}
	slices.Sort(names)
	require.Len(t, slices.Compact(slices.Clone(names)), len(names), "two attacks have the same name")
	require.GreaterOrEqual(t, len(names), 300)
}
