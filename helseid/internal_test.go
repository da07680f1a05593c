package helseid

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/exchange"
)

func TestIsRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err            error
		refusal, whole bool
	}{
		{nil, false, false},
		{errors.New("x"), false, false},
		{ErrUnavailable, false, false},
		{&TokenError{Code: "invalid_client", StatusCode: 400}, true, true},
		{&TokenError{Code: "invalid_client", StatusCode: 401}, true, true},
		{&TokenError{Code: "unauthorized_client", StatusCode: 400}, true, true},
		{&TokenError{Code: "invalid_client", StatusCode: 503, Temporary: true}, false, false},
		{&TokenError{Code: "invalid_scope", StatusCode: 400}, true, false},
		{&TokenError{Code: "slow_down", StatusCode: 429, Temporary: true}, false, false},
		{&TokenError{Code: "use_dpop_nonce", StatusCode: 400}, false, false},
		{fmt.Errorf("x: %w", &TokenError{Code: "invalid_scope", StatusCode: 400}), true, false},
	} {
		refusal, whole := isRefusal(test.err)
		require.Equal(t, test.refusal, refusal, "%v", test.err)
		require.Equal(t, test.whole, whole, "%v", test.err)
	}
}

func TestTokenErrorIs(t *testing.T) {
	t.Parallel()
	for status, unavailable := range map[int]bool{400: false, 401: false, 403: false, 429: true, 500: true, 503: true} {
		err := (&exchange.Exchange{Refused: refuser{}.tokenError}).Failure(exchange.Answer{Status: status, Body: []byte(`{"error":"x"}`)})
		require.Equal(t, unavailable, errors.Is(err, ErrUnavailable), status)
		require.NotErrorIs(t, err, ErrInvalidResponse)
	}
}
