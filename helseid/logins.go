package helseid

import (
	"context"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/idtoken"
)

// logins start logins and finish them.
type logins struct {
	identity clientIdentity
	rules    loginRules
	pushes   pushedRequests
	inTurn   userTokensInTurn
	store    Store
	revoker  *revoker
	idTokens *idtoken.Validator
	work     *lifecycle.Lifecycle
	report   *reporter

	newSession func(context.Context, *LoginState, *userTokens, *identity.IDToken) (*Session, error)
}

// newLogins makes the parts. Each finished login starts one of the sessions.
func newLogins(config Config, identity clientIdentity, requests tokenRequester, standing *standing, report *reporter, details detailsOf, sessions *Sessions) *logins {
	return &logins{
		identity: identity,
		rules: loginRules{
			issuer: config.Issuer, redirectURIs: config.Registered.RedirectURIs, keyStays: config.DPoPKey != nil, details: details,
		},
		pushes:     pushedRequests{requests: requests.Exchange, standing: standing},
		inTurn:     requests.userTokens(requests.Budgets.Codes),
		store:      sessions.rows.store,
		revoker:    sessions.revoker,
		idTokens:   sessions.idTokens,
		work:       requests.Work,
		report:     report,
		newSession: sessions.start,
	}
}
