package main

import (
	"context"
	"fmt"
)

// selftestScenarios show that the servers work, with a client that is not ours either.
func selftestScenarios() []scenario {
	var all []scenario
	for _, nonces := range []bool{false, true} {
		all = append(all, scenario{
			name: "servers work with oauth4webapi's own client, " + onOff("nonces", nonces),
			run: func(ctx context.Context, l *lab) (string, error) {
				return selftest(ctx, l, nonces)
			},
		})
	}
	return all
}

func selftest(ctx context.Context, l *lab, nonces bool) (string, error) {
	options := authOptions{nonces: nonces}
	auth, err := l.auth(ctx, options)
	if err != nil {
		return "", err
	}
	api, err := l.api(ctx, apiOptions{auth: options, nonces: nonces})
	if err != nil {
		return "", err
	}
	var passed struct {
		Event   string
		Clients []string
	}
	if err := runNode(ctx, l, &passed, "selftest.mjs", "--state", auth.stateFile, "--api", api.url); err != nil {
		return "", err
	}
	if passed.Event != "passed" || len(passed.Clients) != len(auth.state.Clients) {
		return "", fmt.Errorf("the self-test did not say what it has done: %+v", passed)
	}

	stats, err := auth.stats(ctx)
	if err != nil {
		return "", err
	}
	seen, err := api.stats(ctx)
	if err != nil {
		return "", err
	}
	// Servers that never ask for a nonce would let any client pass.
	if byAuth, byAPI := stats.Answers["400 use_dpop_nonce"], seen.Refused["use_dpop_nonce"]; byAuth > 0 != nonces || byAPI > 0 != nonces {
		return "", fmt.Errorf("%d nonce challenges of the token endpoint, %d of the API", byAuth, byAPI)
	}
	// Each client repeats one request as it was; this is how the scenarios below would notice.
	clients := len(auth.state.Clients)
	if assertions, proofs := len(stats.DuplicateAssertionJTIs), len(stats.DuplicateProofJTIs); assertions != clients || proofs != clients {
		return "", fmt.Errorf("%d assertions and %d proofs were noticed to be repeated, want %d", assertions, proofs, clients)
	}
	if len(stats.Violations) > 0 {
		return "", fmt.Errorf("violations: %v", stats.Violations)
	}
	return fmt.Sprintf("%d clients, %d tokens", clients, stats.Answers["200"]), nil
}

func onOff(what string, on bool) string {
	if on {
		return what + " on"
	}
	return what + " off"
}
