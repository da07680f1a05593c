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

// userTokens is what HelseID answers to a login or a refresh.
type userTokens struct {
	// token is the access token, or tokenErr says why it cannot be used. The
	// rest counts even then: the refresh token has been renewed.
	token    *Token
	tokenErr error

	// forIssuer says that the token goes to HelseID alone.
	forIssuer bool

	idToken      string
	refreshToken string    // "" if none came
	refreshUntil time.Time // zero if HelseID did not say
}

// askUserTokens asks HelseID for a user's tokens, with a code or a refresh token.
type askUserTokens func(ctx context.Context, grant tokenGrant) (*userTokens, error)

// userTokensInTurn calls a function when there is room for another request with a code
// or a refresh token, with what makes the request.
type userTokensInTurn func(ctx context.Context, do func(askUserTokens) error) error

// userTokens asks HelseID within a budget.
func (e tokenRequester) userTokens(budget *bulkhead.Bulkhead) userTokensInTurn {
	return func(ctx context.Context, do func(askUserTokens) error) error {
		return e.InTurn(ctx, budget, func(turn *bulkhead.Turn) error {
			return do(func(ctx context.Context, grant tokenGrant) (*userTokens, error) {
				return e.askUserTokens(ctx, turn, grant)
			})
		})
	}
}

// maxRefreshLifetime bounds what rt_expires_in may claim.
const maxRefreshLifetime = 400 * 24 * time.Hour

// askUserTokens sends a request with a code or a refresh token. An error that is
// neither a refusal nor marked with exchange.ErrOutcomeUnknown means that the credential
// is as good as before.
func (e tokenRequester) askUserTokens(ctx context.Context, turn *bulkhead.Turn, grant tokenGrant) (*userTokens, error) {
	result, object, err := e.askToken(ctx, turn, grant)
	if err != nil {
		if result.Status != 0 {
			// Something answered 200, and the tokens in it are lost.
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
		// Nobody hands out a token that has ended: zero, and less, tells nothing. A
		// session that ended at once would send its user to log in for ever.
		if seconds > 0 {
			seconds = min(seconds, int64(maxRefreshLifetime/time.Second))
			tokens.refreshUntil = start.Round(0).Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
		}
	}
	return tokens, nil
}
