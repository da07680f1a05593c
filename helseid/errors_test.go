package helseid_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// What has one meaning in several packages is one error, whichever of them is asked.
func TestErrorsOfSeveralPackagesAreOne(t *testing.T) {
	t.Parallel()
	for err, same := range map[error][]error{
		helseid.ErrKey:         {clientassertion.ErrKey, dpop.ErrKey},
		helseid.ErrUnavailable: {tokenvalidation.ErrUnavailable},
		helseid.ErrClock:       {tokenvalidation.ErrClock},
	} {
		for _, other := range same {
			require.ErrorIs(t, err, other)
			require.ErrorIs(t, other, err)
		}
	}
	require.ErrorIs(t, helseid.ErrBusy, helseid.ErrUnavailable)
	require.NotErrorIs(t, helseid.ErrConfig, clientassertion.ErrConfig, "each package has its own")
	require.NotErrorIs(t, dpop.ErrUnavailable, helseid.ErrUnavailable, "a replay store is not HelseID")
}
