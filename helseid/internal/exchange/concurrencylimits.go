package exchange

import (
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
)

// Budgets are the kinds of requests in which the client authenticates at HelseID,
// each with a budget and a pace of its own. Logins and codes are what strangers
// can cause by the thousand: they wait in short lines for a short time, and never
// touch what a session or a system needs.
type Budgets struct {
	Tokens      *bulkhead.Bulkhead // of systems, sessions and token exchanges
	Codes       *bulkhead.Bulkhead // of logins that are finished
	Logins      *bulkhead.Bulkhead // that are started (pushed authorization requests)
	Revocations *bulkhead.Bulkhead
}

const (
	// maxTokenFlights bounds how many tokens are fetched at the same time, also
	// when thousands of organisations become active at once.
	maxTokenFlights = 32

	// maxTokenLine bounds how many wait for that. Who waits is known, and does so
	// for Timeout at most.
	maxTokenLine = 20_000

	// Somebody waits at a browser, or nobody does. At 100 ms for a request, 16 at
	// once are 160 logins in a second.
	maxLoginFlights  = 16
	maxLoginLine     = 80
	maxLoginPatience = 5 * time.Second

	maxRevocationFlights = 8
	maxRevocationLine    = 1000
)

// NewBudgets makes them, for requests that outlive that many failures.
func NewBudgets(retries int) Budgets {
	anonymous := bulkhead.Limits{Slots: maxLoginFlights, Line: maxLoginLine, Patience: maxLoginPatience}
	return Budgets{
		Tokens:      bulkhead.New(TokenEndpoint, bulkhead.Limits{Slots: maxTokenFlights, Line: maxTokenLine}, retries),
		Codes:       bulkhead.New(TokenEndpoint, anonymous, retries),
		Logins:      bulkhead.New(PAREndpoint, anonymous, retries),
		Revocations: bulkhead.New(RevocationEndpoint, bulkhead.Limits{Slots: maxRevocationFlights, Line: maxRevocationLine}, retries),
	}
}
