package helseid

import "time"

// budgets are the kinds of requests in which the client authenticates at HelseID,
// each with a budget and a pace of its own. Logins and codes are what strangers
// can cause by the thousand: they wait in short lines for a short time, and never
// touch what a session or a system needs.
type budgets struct {
	tokens      *bulkhead // of systems, sessions and token exchanges
	codes       *bulkhead // of logins that are finished
	logins      *bulkhead // that are started (pushed authorization requests)
	revocations *bulkhead
}

const (
	// maxTokenFlights bounds how many tokens are fetched at the same time, also
	// when thousands of organisations become active at once.
	maxTokenFlights = 32

	// maxTokenLine bounds how many wait for that. Who waits is known, and does so
	// for tokenRequestTimeout at most.
	maxTokenLine = 20_000

	// Somebody waits at a browser, or nobody does. At 100 ms for a request, 16 at
	// once are 160 logins in a second.
	maxLoginFlights  = 16
	maxLoginLine     = 80
	maxLoginPatience = 5 * time.Second

	maxRevocationFlights = 8
	maxRevocationLine    = 1000
)

func newBudgets(retries int) budgets {
	anonymous := bulkheadLimits{slots: maxLoginFlights, line: maxLoginLine, patience: maxLoginPatience}
	return budgets{
		tokens:      newBulkhead(tokenEndpoint, bulkheadLimits{slots: maxTokenFlights, line: maxTokenLine}, retries),
		codes:       newBulkhead(tokenEndpoint, anonymous, retries),
		logins:      newBulkhead(parEndpoint, anonymous, retries),
		revocations: newBulkhead(revocationEndpoint, bulkheadLimits{slots: maxRevocationFlights, line: maxRevocationLine}, retries),
	}
}
