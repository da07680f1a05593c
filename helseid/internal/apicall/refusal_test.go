package apicall

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusalCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		header        string
		bound, bearer string // what counts for a token with a proof, and for one without
	}{
		{`DPoP error="invalid_token"`, invalidToken, invalidToken},
		{`Bearer error="invalid_token"`, invalidToken, invalidToken},
		{`bearer realm="x", error=invalid_token, error_description="expired"`, invalidToken, invalidToken},
		{`Custom error="invalid_token"`, invalidToken, invalidToken},
		{`DPoP algs="ES256", Bearer error="invalid_token"`, invalidToken, invalidToken},
		{`DPoP error="use_dpop_nonce"`, useDPoPNonce, ""},
		{`Bearer error="use_dpop_nonce"`, useDPoPNonce, ""},
		{`Bearer error="invalid_token", DPoP error="use_dpop_nonce"`, useDPoPNonce, invalidToken},
		{`DPoP error="invalid_dpop_proof"`, invalidDPoPProof, ""},
		{`DPoP error="invalid_dpop_proof", Bearer error="invalid_token"`, invalidDPoPProof, invalidToken},
		{`Bearer error="invalid_token", DPoP error="invalid_dpop_proof"`, invalidDPoPProof, invalidToken},
		{`Bearer error="insufficient_scope"`, "", ""},
		{`Bearer error="INVALID_TOKEN"`, "", ""},
		{`Bearer realm="error=invalid_token"`, "", ""},
		{`Bearer realm="x, DPoP error=invalid_token"`, "", ""},
		{`Bearer error_description="error=\"invalid_token\""`, "", ""},
		{`Bearer error=""`, "", ""},
		{`Bearer`, "", ""},
		{``, "", ""},
	} {
		response := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {test.header}}}
		require.Equal(t, test.bound, refusalCode(response, true), test.header)
		require.Equal(t, test.bearer, refusalCode(response, false), test.header)
		response.StatusCode = http.StatusBadRequest
		if test.bound == invalidToken {
			require.Empty(t, refusalCode(response, true), "only a 401 is about the token")
		} else {
			require.Equal(t, test.bound, refusalCode(response, true), test.header)
		}
		for _, status := range []int{200, 403, 407, 500, 503} {
			response.StatusCode = status
			require.Empty(t, refusalCode(response, true), "%d %s", status, test.header)
		}
	}
}
