package dpop

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// Verifying a proof must not cost more than with the keys that HelseID issues. These
// keys are refused before the signature is verified, although their JWKs are valid.
func TestDearKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bits     int
		exponent int64
		reason   Reason
	}{
		"RSA-4096":                            {4096, 65537, ReasonSignature},
		"RSA-4096 with a small exponent":      {4096, 3, ReasonSignature},
		"RSA-4096 with the next exponent":     {4096, 65539, ReasonKey},
		"RSA-2048 with the greatest exponent": {2048, 1<<31 - 1, ReasonKey},
		"RSA-4104":                            {4104, 65537, ReasonKey},
		"RSA-8192":                            {8192, 65537, ReasonKey},
		"RSA-8192 with the greatest exponent": {8192, 1<<31 - 1, ReasonKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			modulus := make([]byte, test.bits/8)
			_, _ = rand.Read(modulus)
			modulus[0] |= 0x80
			modulus[len(modulus)-1] |= 1
			jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, rawURL.EncodeToString(modulus), rawURL.EncodeToString(big.NewInt(test.exponent).Bytes()))
			d := newDraft(t, keyFor(t, "PS256"))
			d.header["jwk"] = json.RawMessage(jwk)
			_, err := newVerifier(t, VerifierConfig{}).Verify(context.Background(), d.sign(t), Expectation{Method: "GET", URI: apiURI, AccessToken: accessToken})
			requireReason(t, test.reason, err)
		})
	}
	require.NotEmpty(t, reasonTexts[ReasonKey])
}
