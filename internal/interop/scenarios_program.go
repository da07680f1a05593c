package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// programScenarios are clients that nobody here wrote, against examples/api.
func programScenarios() []scenario {
	var all []scenario
	for _, nonces := range []bool{false, true} {
		add := func(name string, run func(context.Context, *lab, bool) (string, error)) {
			all = append(all, scenario{
				name: fmt.Sprintf("api: %s, %s", name, onOff("nonces", nonces)),
				run:  func(ctx context.Context, l *lab) (string, error) { return run(ctx, l, nonces) },
			})
		}
		for _, library := range []string{"oauth4webapi", "dpop"} {
			add("proofs by npm "+library, func(ctx context.Context, l *lab, nonces bool) (string, error) {
				return sharedCheck(ctx, l, nonces, "calls", "--proofs", library)
			})
		}
		for _, alg := range []string{"RS256", "PS256", "ES384"} {
			add("examples/machine with "+alg, func(ctx context.Context, l *lab, nonces bool) (string, error) {
				return machineCallsProgram(ctx, l, nonces, alg)
			})
		}
		add("refusals", func(ctx context.Context, l *lab, nonces bool) (string, error) {
			return sharedCheck(ctx, l, nonces, "refusals")
		})
		add("twenty copies at once", func(ctx context.Context, l *lab, nonces bool) (string, error) {
			return sharedCheck(ctx, l, nonces, "copies")
		})
		add("behind a reverse proxy", behindProxy)
		add("behind nginx", behindNginx)
		add("asked by nginx", behindForwardAuth)
		add("sixty unknown keys", unknownKeys)
	}
	return all
}

func checkArgs(auth *authServer, api string, nonces bool, more ...string) []string {
	args := append([]string{"--state", auth.stateFile, "--api", api}, more...)
	if nonces {
		args = append(args, "--nonces")
	}
	return args
}

// sharedCheck runs a check that leaves nothing behind in the API.
func sharedCheck(ctx context.Context, l *lab, nonces bool, check string, more ...string) (string, error) {
	auth, err := l.auth(ctx, authOptions{})
	if err != nil {
		return "", err
	}
	api, err := l.program(ctx, programOptions{nonces: nonces})
	if err != nil {
		return "", err
	}
	return runCheck(ctx, l, api, check, checkArgs(auth, api.url, nonces, more...)...)
}

// machineCallsProgram lets the two example programs meet, with tokens of a server that is neither's.
func machineCallsProgram(ctx context.Context, l *lab, nonces bool, alg string) (string, error) {
	const calls = 50
	b, err := l.bench(ctx, setup{alg: alg})
	if err != nil {
		return "", err
	}
	api, err := l.program(ctx, programOptions{nonces: nonces})
	if err != nil {
		return "", err
	}
	if err := b.auth.reset(ctx); err != nil { // the API may have fetched its keys just now
		return "", err
	}
	before := api.tally()
	result, err := b.run(ctx, flags{"url": api.url + "/files/a%20b?x=1", "n": fmt.Sprint(calls), "c": "10"})
	if err != nil {
		return "", err
	}
	auth, other, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.succeeded(calls), err); err != nil {
		return "", err
	}
	challenges := result.summary.NonceChallenges
	switch {
	case auth.TokenRequests != 1 || result.summary.TokenRequests != 1:
		return "", fmt.Errorf("%d token requests, the summary tells of %d, want 1", auth.TokenRequests, result.summary.TokenRequests)
	case other.Requests > 0:
		return "", errors.New("the other API was called")
	case !nonces && challenges > 0 || nonces && (challenges < 1 || challenges > 10):
		// The ten calls that start together cannot know the nonce; those after them do.
		return "", fmt.Errorf("%d nonce challenges", challenges)
	}
	return fmt.Sprintf("%d good answers, %d nonce challenges", calls, challenges), api.decided(before, calls, challenges)
}

// behindProxy publishes an API under another port and a path prefix.
func behindProxy(ctx context.Context, l *lab, nonces bool) (string, error) {
	const prefix = "/journal"
	auth, err := l.auth(ctx, authOptions{})
	if err != nil {
		return "", err
	}
	proxy, err := startNode(ctx, l.log, "proxy.mjs", "--prefix", prefix)
	if err != nil {
		return "", err
	}
	defer proxy.stop()
	public := proxy.url + prefix
	api, err := l.startProgram(ctx, auth.state, nonces, flags{"public-url": public})
	if err != nil {
		return "", err
	}
	defer api.stop()
	target := map[string]string{"url": api.url}
	if err := (control{proxy.url}).call(ctx, http.MethodPost, "/_control/target", target, nil); err != nil {
		return "", err
	}
	return runCheck(ctx, l, api, "proxied", checkArgs(auth, public, nonces, "--inner", api.url)...)
}

// unknownKeys lets strangers' tokens, each with a key identifier of its own, meet an API that knows
// the issuer's keys: they must not make it ask for others more than twice, and once in five seconds
// after that.
func unknownKeys(ctx context.Context, l *lab, nonces bool) (string, error) {
	auth, err := l.auth(ctx, authOptions{})
	if err != nil {
		return "", err
	}
	api, err := l.startProgram(ctx, auth.state, nonces, nil)
	if err != nil {
		return "", err
	}
	defer api.stop()
	known, err := newSession(ctx, l, auth)
	if err != nil {
		return "", err
	}
	if first, err := known.call(ctx, api.url+"/machine"); err != nil || first.Status != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("a good token before: %v", first))
	}
	if err := auth.reset(ctx); err != nil {
		return "", err
	}
	start := time.Now()
	detail, err := runCheck(ctx, l, api, "forgeries", checkArgs(auth, api.url, nonces)...)
	if err != nil {
		return "", err
	}
	stats, err := auth.stats(ctx)
	if err != nil {
		return "", err
	}
	// None at all would mean that the forgeries were refused for another reason.
	fetched := stats.Paths[auth.state.JWKSPath]
	if most := 2 + int(time.Since(start)/(5*time.Second)); fetched < 1 || fetched > most {
		return "", fmt.Errorf("%d requests for keys, want 1 to %d", fetched, most)
	}
	return fmt.Sprintf("%s, %d requests for keys", detail, fetched), nil
}
