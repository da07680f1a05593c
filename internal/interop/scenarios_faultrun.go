package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	faultRunCalls       = 3000 // of one run of machine, which is started again and again
	faultRunConcurrency = 20
	faultRunPoll        = 50 * time.Millisecond
)

func faultRunScenarios() []scenario {
	return []scenario{{"token endpoint: random faults for a while", faultRun}}
}

// A faultMix makes an authorization server fail at random. Its faults but html are within the budget
// of one token request, which is two retries: the next fault is not asked for before a token has been
// given out after the last.
type faultMix struct {
	auth    *authServer
	minimum time.Duration
	hits    map[string]int
	nonces  int // how often the server took to its own nonces, or gave them up
}

func newFaultMix(auth *authServer, minimum time.Duration) *faultMix {
	return &faultMix{auth: auth, minimum: minimum, hits: map[string]int{}}
}

// run lets the faults happen, and ends with none.
func (m *faultMix) run(ctx context.Context) error {
	deck := []fault{
		{Kind: "status", Status: 503, Count: 1},
		{Kind: "status", Status: 503, Count: 2},
		{Kind: "cut", Count: 1},
		{Kind: "half", Count: 1},
		{Kind: "html", Count: 1},
	}
	ownNonces := false
	end := time.After(m.minimum)
	for {
		rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, f := range deck {
			asked := []fault{f}
			if next := rand.N(2) == 0; next != ownNonces {
				ownNonces = next
				m.nonces++
			}
			if ownNonces {
				asked = append(asked, fault{Kind: "newnonce"})
			}
			if err := m.episode(ctx, f, asked); err != nil {
				return err
			}
		}
		select {
		case <-end:
			return m.auth.faults(ctx)
		default:
		}
	}
}

// episode asks for a fault and waits until it is over.
func (m *faultMix) episode(ctx context.Context, f fault, asked []fault) error {
	if err := m.auth.faults(ctx, asked...); err != nil {
		return err
	}
	stats, err := m.auth.stats(ctx)
	if err != nil {
		return err
	}
	tokens := stats.Answers["200"]
	for {
		select {
		case <-time.After(faultRunPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if stats, err = m.auth.stats(ctx); err != nil {
			return err
		}
		switch {
		case stats.FaultsHit[f.Kind] < f.Count:
			// A token that is given out now is still before the fault.
			tokens = stats.Answers["200"]
		case stats.Answers["200"] > tokens:
			m.hits[f.Kind] += f.Count
			return nil
		}
	}
}

// faultRun calls the API with tokens of two seconds from a server that fails at random. Only an
// answer that is not the server's at all may cost calls, those that wait for that one token.
func faultRun(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{auth: authOptions{nonces: true, lifetime: 2}})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mix := newFaultMix(b.auth, l.faultTime)
	failed := make(chan error, 1)
	go func() { failed <- mix.run(ctx) }()

	var total summary
	lost, runs := 0, 0
	for ended := false; !ended; runs++ {
		result, err := b.run(ctx, flags{"n": fmt.Sprint(faultRunCalls), "c": fmt.Sprint(faultRunConcurrency)})
		if err != nil {
			return "", err
		}
		unreadable, err := faultRunLosses(result)
		if err != nil {
			return "", err
		}
		lost += unreadable
		total.Requests += result.summary.Requests
		total.OK += result.summary.OK
		total.TokenRequests += result.summary.TokenRequests
		select {
		case err := <-failed:
			if err != nil {
				return "", err
			}
			ended = true
		default:
		}
	}

	auth, api, err := b.stats(ctx, b.flags["scope"])
	if err != nil {
		return "", err
	}
	html := mix.hits["html"]
	// Whoever ends while it renews a token in the background breaks that off, before the server has
	// answered or after, and tells of it in any case.
	untold := auth.Answers["200"] + html - total.TokenRequests
	switch {
	case lost > html*faultRunConcurrency:
		return "", fmt.Errorf("%d calls lost to %d unreadable answers, at most %d waited for each", lost, html, faultRunConcurrency)
	case untold < -runs || untold > runs:
		return "", fmt.Errorf("the summaries tell of %d token requests, answers of the token endpoint: %v", total.TokenRequests, auth.Answers)
	case api.Accepted != total.OK:
		return "", fmt.Errorf("the summaries tell of %d good calls, the API of %d", total.OK, api.Accepted)
	}
	return fmt.Sprintf("%d calls in %d runs, %d lost to %d unreadable answers; %d tokens in %d requests, all different; faults %v, nonce regime changed %d times",
		total.Requests, runs, lost, html, auth.Answers["200"], auth.TokenRequests, mix.hits, mix.nonces), nil
}

// faultRunLosses counts the calls that were lost to an unreadable answer. No other may be.
func faultRunLosses(result *result) (int, error) {
	if result.summary == nil {
		return 0, fmt.Errorf("no summary: %s", result.complaint())
	}
	lost := result.summary.Failures["helseid_invalid_response"]
	if lost == 0 {
		return 0, result.succeeded(faultRunCalls)
	}
	if others := result.summary.failures() - lost; others > 0 {
		return 0, fmt.Errorf("%d calls were lost that the retries cover: %v", others, result.summary.Failures)
	}
	return lost, result.lost(lost, faultRunCalls)
}
