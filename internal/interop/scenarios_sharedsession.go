package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

const (
	sharedLifetime = 2 // seconds, of access tokens
	sharedUsers    = 2 // clients or processes that use one session

	sharedLatency = 2 * time.Millisecond // of the store

	sharedLeast = 2 * sharedLifetime * time.Second // a shorter run would see no token expire
)

// sharedSessionScenarios are those in which a session is used in several places at once, against a
// server that gives each refresh token's successor once and ends the session of one that comes twice.
func sharedSessionScenarios() []scenario {
	return []scenario{
		{"login: two clients use one session", twoClients},
		{"login: two processes use one session", twoProcesses},
	}
}

// A sharedUse is one user of the session: it returns how many good calls it made, by audience.
type sharedUse func(ctx context.Context) (map[string]int, error)

// shareSession lets several users loose on one session and then looks at what the servers saw.
func (b *loginBench) shareSession(ctx context.Context, session *helseid.Session, browser *browser, use sharedUse) (string, error) {
	duration := b.sharedTime()
	before := b.tally()
	type outcome struct {
		calls map[string]int
		err   error
	}
	outcomes := make(chan outcome, sharedUsers)
	for range sharedUsers {
		go func() {
			calls, err := use(ctx)
			outcomes <- outcome{calls, err}
		}()
	}
	made, sum := map[string]int{}, 0
	var errs []error
	for range sharedUsers {
		result := <-outcomes
		errs = append(errs, result.err)
		for audience, calls := range result.calls {
			if calls == 0 {
				errs = append(errs, fmt.Errorf("no call of %s", audience))
			}
			made[audience] += calls
			sum += calls
		}
	}
	stats, err := b.stats(ctx)
	if err := errors.Join(append(errs, err)...); err != nil {
		return "", fmt.Errorf("%w (answers of the token endpoint %v, the provider's reasons %v)", err, stats.Answers, stats.Refusals)
	}
	// Every user needs a token for each API in each lifetime, which is counted from the whole second in
	// which it was asked for: half of it may be over by then.
	lifetimes := int(duration / (sharedLifetime * time.Second))
	least, most := sharedUsers*len(b.audiences)*(lifetimes-1), sharedUsers*len(b.audiences)*(2*lifetimes+1)
	others := stats.Answers["400 use_dpop_nonce"] // for processes that do not know the nonce yet
	switch {
	case stats.ReusedRefreshTokens > 0:
		return "", fmt.Errorf("%d refresh tokens were used twice", stats.ReusedRefreshTokens)
	case stats.Refreshed < least || stats.Refreshed > most:
		return "", fmt.Errorf("%d refreshes, want %d to %d", stats.Refreshed, least, most)
	case stats.Answers["200"] != stats.Refreshed+1 || stats.TokenRequests != stats.Answers["200"]+others || others > 1+sharedUsers*len(b.audiences):
		return "", fmt.Errorf("answers of the token endpoint: %v, with %d refreshes", stats.Answers, stats.Refreshed)
	}
	if err := b.decided(before, made); err != nil {
		return "", err
	}
	if err := b.call(ctx, session, b.audiences[0]); err != nil {
		return "", fmt.Errorf("the session afterwards: %w", err)
	}
	return fmt.Sprintf("%d calls, %d refreshes, each refresh token used once", sum, stats.Refreshed), b.logOut(ctx, session, browser)
}

func (b *loginBench) sharedTime() time.Duration { return max(b.lab.faultTime, sharedLeast) }

func (b *loginBench) targets() []loadTarget {
	var targets []loadTarget
	for _, audience := range b.audiences {
		targets = append(targets, loadTarget{audience, b.apis[audience].url})
	}
	return targets
}

// twoClients use one session by way of one store in this process.
func twoClients(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{lifetime: sharedLifetime, nonces: true})
	if err != nil {
		return "", err
	}
	defer b.close()
	b.store.latency = sharedLatency
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	browser := newBrowser()
	session, err := b.logIn(ctx, client, b.request(), browser)
	if err != nil {
		return "", err
	}
	users := make(chan *helseid.Client, sharedUsers)
	for range sharedUsers {
		user, err := b.newClient(nil)
		if err != nil {
			return "", err
		}
		users <- user
	}
	return b.shareSession(ctx, session, browser, func(ctx context.Context) (map[string]int, error) {
		ctx, cancel := context.WithTimeout(ctx, b.sharedTime())
		defer cancel()
		user := <-users
		defer user.Close() // in the middle of a refresh, perhaps, as the process of twoProcesses does
		return load(ctx, user, session.ID().Reveal(), b.targets())
	})
}

// twoProcesses use one session by way of a store that they reach over the network.
func twoProcesses(ctx context.Context, l *lab) (string, error) {
	b, err := l.loginBench(ctx, loginSetup{lifetime: sharedLifetime, nonces: true})
	if err != nil {
		return "", err
	}
	defer b.close()
	b.store.latency = sharedLatency
	client, err := b.newClient(nil)
	if err != nil {
		return "", err
	}
	browser := newBrowser()
	session, err := b.logIn(ctx, client, b.request(), browser)
	if err != nil {
		return "", err
	}
	store, err := serveStore(b.store)
	if err != nil {
		return "", err
	}
	defer store.close()
	key, err := b.key.MarshalPrivateJWK()
	if err != nil {
		return "", err
	}
	order := workerOrder{
		ConfigFile: b.configFile,
		Issuer:     b.auth.state.Issuer,
		DPoPKey:    key,
		StoreURL:   store.url,
		SessionID:  session.ID().Reveal(),
		Targets:    b.targets(),
		Duration:   b.sharedTime(),
	}
	return b.shareSession(ctx, session, browser, func(ctx context.Context) (map[string]int, error) {
		report, err := runWorker(ctx, l.log, order)
		return report.Calls, err
	})
}
