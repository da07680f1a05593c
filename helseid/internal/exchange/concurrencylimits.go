package exchange

import (
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
)

// Budgets are the kinds of requests in which the client authenticates at HelseID,
// each with a budget and a pace of its own. Strangers can cause thousands of login
// starts and code exchanges: these wait in short queues for a short time, and never
// use what sessions or systems need.
type Budgets struct {
	Tokens      *bulkhead.Bulkhead // of systems, sessions and token exchanges
	Codes       *bulkhead.Bulkhead // of logins that are finished
	Logins      *bulkhead.Bulkhead // that are started (pushed authorization requests)
	Revocations *bulkhead.Bulkhead
}

const (
	// maxTokenFlights bounds how many tokens are fetched at the same time, even when
	// thousands of organisations become active at once.
	maxTokenFlights = 32

	// maxTokenLine bounds how many requests wait for that, each for Timeout at most.
	// They come from systems and logged-in users, not from strangers.
	maxTokenLine = 20_000

	// A user may be waiting at a browser, or nobody at all. At 100 ms for a request,
	// 16 at once are 160 logins a second.
	maxLoginFlights  = 16
	maxLoginLine     = 80
	maxLoginPatience = 5 * time.Second

	maxRevocationFlights = 8
	maxRevocationLine    = 1000
)

// NewBudgets makes the budgets, for requests that are retried that many times.
func NewBudgets(retries int) Budgets {
	anonymous := bulkhead.Limits{Slots: maxLoginFlights, Line: maxLoginLine, Patience: maxLoginPatience}
	return Budgets{
		Tokens:      bulkhead.New(TokenEndpoint, bulkhead.Limits{Slots: maxTokenFlights, Line: maxTokenLine}, retries),
		Codes:       bulkhead.New(TokenEndpoint, anonymous, retries),
		Logins:      bulkhead.New(PAREndpoint, anonymous, retries),
		Revocations: bulkhead.New(RevocationEndpoint, bulkhead.Limits{Slots: maxRevocationFlights, Line: maxRevocationLine}, retries),
	}
}
