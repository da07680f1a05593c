package weblogin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/redact"
)

// What a store says is tested for and not printed: it may quote what was to be stored.
func TestStoreErrorHidesItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("SET session 06828399789")
	err := &storeError{redact.Hide(cause)}
	require.ErrorIs(t, err, helseid.ErrStore)
	require.ErrorIs(t, err, cause)
	for _, text := range []string{err.Error(), err.LogValue().String(), fmt.Sprintf("%v %+v %#v %s", err, err, err, err)} {
		require.NotContains(t, text, "06828399789")
	}
}
