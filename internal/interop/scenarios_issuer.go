package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// patience is how long an API may take to notice that its issuer is back, or is another than it was.
const patience = 10 * time.Second

// issuerScenarios are those in which the issuer of examples/api's tokens is away or changes.
func issuerScenarios() []scenario {
	var all []scenario
	for _, nonces := range []bool{false, true} {
		add := func(name string, run func(context.Context, *lab, bool) (string, error)) {
			all = append(all, scenario{
				name: fmt.Sprintf("api: %s, %s", name, onOff("nonces", nonces)),
				run:  func(ctx context.Context, l *lab) (string, error) { return run(ctx, l, nonces) },
			})
		}
		add("issuer down at the start", issuerDown)
		add("issuer has new keys", func(ctx context.Context, l *lab, nonces bool) (string, error) {
			return newKeys(ctx, l, nonces, "")
		})
		add("issuer has new keys at another path", func(ctx context.Context, l *lab, nonces bool) (string, error) {
			return newKeys(ctx, l, nonces, "/moved/jwks")
		})
	}
	return all
}

// An issuer is an authorization server of one scenario's own, which can be stopped, and started
// again at the same address for the same clients. Its signing keys are new at every start.
type issuer struct {
	lab     *lab
	server  *authServer
	process *child
}

func (l *lab) issuer(ctx context.Context) (*issuer, error) {
	server, process, err := l.startAuth(ctx, authOptions{})
	if err != nil {
		return nil, err
	}
	return &issuer{l, server, process}, nil
}

func (i *issuer) stop() { i.process.stop() }

// start starts it again, with its keys at jwksPath if that is not empty.
func (i *issuer) start(ctx context.Context, jwksPath string) error {
	address, err := url.Parse(i.server.state.Issuer)
	if err != nil {
		return err
	}
	server, process, err := i.lab.startAuth(ctx, authOptions{
		port:     address.Port(),
		clients:  i.server.stateFile,
		jwksPath: jwksPath,
	})
	if err != nil {
		return err
	}
	if now := server.state.Issuer; now != i.server.state.Issuer {
		return fmt.Errorf("the issuer is %s now and was %s", now, i.server.state.Issuer)
	}
	i.server, i.process = server, process
	return nil
}

// issuerDown starts an API while nobody can tell it the issuer's keys.
func issuerDown(ctx context.Context, l *lab, nonces bool) (string, error) {
	issuer, err := l.issuer(ctx)
	if err != nil {
		return "", err
	}
	defer func() { issuer.stop() }() // whichever process it is by then
	early, err := newSession(ctx, l, issuer.server)
	if err != nil {
		return "", err
	}
	issuer.stop()

	api, err := l.startProgram(ctx, issuer.server.state, nonces, nil)
	if err != nil {
		return "", err
	}
	defer api.stop()
	during, err := early.call(ctx, api.url+"/machine")
	if err := errors.Join(err, api.healthy(ctx)); err != nil {
		return "", err
	}
	if during.Status != http.StatusServiceUnavailable || during.RetryAfter == "" {
		return "", fmt.Errorf("while the issuer is down: %v, Retry-After %q", during, during.RetryAfter)
	}

	if err := issuer.start(ctx, ""); err != nil {
		return "", err
	}
	late, err := newSession(ctx, l, issuer.server)
	if err != nil {
		return "", err
	}
	after, err := late.callWithin(ctx, api.url+"/machine", patience)
	if err != nil {
		return "", err
	}
	if after.Status != http.StatusOK || after.Seen["401"] > 0 {
		return "", fmt.Errorf("after the issuer came up: %v", after)
	}
	return fmt.Sprintf("503 with Retry-After %s after %d ms, and good %d ms after the issuer was up",
		during.RetryAfter, during.MS, after.MS), api.clean()
}

// newKeys replaces the issuer's keys under a running API, and moves them if jwksPath is not empty.
// Tokens signed with the new ones must be let in, and those with the old ones for as long as the API
// has not seen that they are gone. An API that cannot tell whether a key is the issuer's must not say
// that the token is invalid.
func newKeys(ctx context.Context, l *lab, nonces bool, jwksPath string) (string, error) {
	issuer, err := l.issuer(ctx)
	if err != nil {
		return "", err
	}
	defer func() { issuer.stop() }()
	api, err := l.startProgram(ctx, issuer.server.state, nonces, nil)
	if err != nil {
		return "", err
	}
	defer api.stop()
	machine := api.url + "/machine"
	before, err := newSession(ctx, l, issuer.server)
	if err != nil {
		return "", err
	}
	if first, err := before.call(ctx, machine); err != nil || first.Status != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("before: %v", first))
	}

	issuer.stop()
	if still, err := before.call(ctx, machine); err != nil || still.Status != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("a known key while the issuer is down: %v", still))
	}
	if err := issuer.start(ctx, jwksPath); err != nil {
		return "", err
	}
	if still, err := before.call(ctx, machine); err != nil || still.Status != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("a known key after the change: %v", still))
	}
	after, err := newSession(ctx, l, issuer.server)
	if err != nil {
		return "", err
	}
	last, err := after.callWithin(ctx, machine, patience)
	if err != nil {
		return "", err
	}
	if last.Status != http.StatusOK || last.Seen["401"] > 0 {
		return "", fmt.Errorf("a new key: %v", last)
	}
	// The old key is not the issuer's any longer, and the API knows that by now.
	gone, err := before.call(ctx, machine)
	if err != nil {
		return "", err
	}
	if gone.Status != http.StatusUnauthorized || gone.Error != "invalid_token" {
		return "", fmt.Errorf("a key that is gone: %v", gone)
	}
	return fmt.Sprintf("the new key is good after %d ms, the old one no longer", last.MS), api.clean()
}
