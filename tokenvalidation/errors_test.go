package tokenvalidation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// Each reason has a text, which most have from the rules that all tokens share.
func TestReasonsHaveTexts(t *testing.T) {
	t.Parallel()
	for _, reason := range []tokenvalidation.Reason{
		tokenvalidation.ReasonMalformed, tokenvalidation.ReasonTooLong, tokenvalidation.ReasonType, tokenvalidation.ReasonAlgorithm,
		tokenvalidation.ReasonKey, tokenvalidation.ReasonSignature, tokenvalidation.ReasonIssuer, tokenvalidation.ReasonAudience,
		tokenvalidation.ReasonExpired, tokenvalidation.ReasonNotYet, tokenvalidation.ReasonTime, tokenvalidation.ReasonActors,
		tokenvalidation.ReasonSubject,
	} {
		require.NotEmpty(t, (&tokenvalidation.Error{Reason: reason}).Error(), reason)
	}
}
