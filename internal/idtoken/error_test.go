package idtoken_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/idtoken"
	"github.com/helseid-go/sdk/internal/verification"
)

// Each refusal is one, and of one more kind at most.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for reason, kind := range map[verification.Reason]error{
		idtoken.ReasonSecurityLevel:  idtoken.ErrLevelTooLow,
		idtoken.ReasonAssuranceLevel: idtoken.ErrLevelTooLow,
		idtoken.ReasonLoginAge:       idtoken.ErrLoginTooOld,
		idtoken.ReasonNonce:          nil,
		idtoken.ReasonLogout:         nil,
		verification.ReasonSignature: nil,
		verification.ReasonMalformed: nil,
	} {
		err := error(&idtoken.Error{Reason: reason})
		require.ErrorIs(t, err, idtoken.ErrInvalid)
		for _, other := range []error{idtoken.ErrLevelTooLow, idtoken.ErrLoginTooOld} {
			require.Equal(t, other == kind, errors.Is(err, other), "%s", reason) //nolint:errorlint // the row's error
		}
		require.NotEmpty(t, err.Error())
	}
}
