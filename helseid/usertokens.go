package helseid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/internal/jose"
)

// userTokens are HelseID's answer to a login or a refresh.
type userTokens struct {
	// token is the access token, or tokenErr says why it cannot be used. The rest is
	// valid even then: the refresh token has been replaced.
	token    *Token
	tokenErr error

	// forIssuer says that the token is only sent to HelseID.
	forIssuer bool

	idToken      string
	refreshToken string    // "" if none came
	refreshUntil time.Time // zero if HelseID did not say
}

// askUserTokens asks HelseID for a user's tokens, with a code or a refresh token.
type askUserTokens func(ctx context.Context, grant tokenGrant) (*userTokens, error)

// userTokensInTurn waits until another request with a code or a refresh token may be
// sent, and calls a function with what sends it.
type userTokensInTurn func(ctx context.Context, do func(askUserTokens) error) error

// userTokens asks HelseID within the budget.
func (e tokenRequester) userTokens(budget *bulkhead.Bulkhead) userTokensInTurn {
	return func(ctx context.Context, do func(askUserTokens) error) error {
		return e.InTurn(ctx, budget, func(turn *bulkhead.Turn) error {
			return do(func(ctx context.Context, grant tokenGrant) (*userTokens, error) {
				return e.askUserTokens(ctx, turn, grant)
			})
		})
	}
}

// maxRefreshLifetime limits the lifetime that rt_expires_in may state.
const maxRefreshLifetime = 400 * 24 * time.Hour

// askUserTokens sends a request with a code or a refresh token. An error that is
// neither a refusal nor marked with [exchange.ErrOutcomeUnknown] means that the
// credential can still be used.
func (e tokenRequester) askUserTokens(ctx context.Context, turn *bulkhead.Turn, grant tokenGrant) (*userTokens, error) {
	result, object, err := e.askToken(ctx, turn, grant)
	if err != nil {
		if result.Status != 0 {
			// The answer was 200 but cannot be used, so its tokens are lost.
			err = fmt.Errorf("%w: %w", exchange.ErrOutcomeUnknown, err)
		}
		return nil, err
	}
	tokens, err := parseUserTokens(object, result.Sent)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", exchange.ErrOutcomeUnknown, result.Unusable(err))
	}
	tokens.token, tokens.tokenErr = readToken(result, object, grant, e.Prover.Thumbprint())
	return tokens, nil
}

func parseUserTokens(object jose.Object, start time.Time) (*userTokens, error) {
	tokens := &userTokens{}
	for name, target := range map[string]*string{"id_token": &tokens.idToken, "refresh_token": &tokens.refreshToken} {
		value := object.Get(name)
		text, ok := value.Text()
		if !value.Absent() && (!ok || len(text) > maxToken) {
			return nil, fmt.Errorf("%s is not a string of up to %d bytes", name, maxToken)
		}
		*target = text
	}
	if value := object.Get("rt_expires_in"); !value.Absent() {
		seconds, ok := value.Seconds()
		if !ok {
			return nil, errors.New("rt_expires_in is not a number")
		}
		// Zero or less cannot be meant: no server issues a token that has expired. A
		// session that ended at once would make its user log in again and again.
		if seconds > 0 {
			seconds = min(seconds, int64(maxRefreshLifetime/time.Second))
			tokens.refreshUntil = start.Round(0).Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
		}
	}
	return tokens, nil
}
