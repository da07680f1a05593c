package main

import (
	"context"
	"errors"
	"fmt"
)

// apiFaultScenarios are those in which the API misbehaves.
func apiFaultScenarios() []scenario {
	return []scenario{
		// Connections that have been used before break without an answer. Go's HTTP client repeats
		// a GET then as it was; its proof must not be repeated.
		{"API cuts connections", func(ctx context.Context, l *lab) (string, error) {
			return apiUnsteady(ctx, l, fault{Kind: "cut", After: 20, Count: 3})
		}},
		{"API answers 500", func(ctx context.Context, l *lab) (string, error) {
			return apiUnsteady(ctx, l, fault{Kind: "status", Status: 500, After: 20, Count: 3})
		}},
		{"API redirects to itself", redirectSame},
		{"API redirects elsewhere", redirectOther},
		{"API down", apiDown},
	}
}

// apiUnsteady expects that some calls fail or are repeated, whichever the SDK chooses, that the
// summary is true, and that no proof is sent twice.
func apiUnsteady(ctx context.Context, l *lab, f fault) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	if err := b.api.faults(ctx, f); err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"method": "GET", "c": "2"})
	if err != nil {
		return "", err
	}
	_, api, err := b.stats(ctx, b.flags["scope"])
	if err != nil {
		return "", err
	}
	if result.summary == nil {
		return "", fmt.Errorf("no summary: %s", result.complaint())
	}
	failures := result.summary.failures()
	switch {
	case api.FaultsHit[f.Kind] != f.Count:
		return "", fmt.Errorf("the fault happened %d times, want %d", api.FaultsHit[f.Kind], f.Count)
	case failures > f.Count || result.summary.OK+failures != 50:
		return "", fmt.Errorf("summary: %+v", *result.summary)
	case (result.exit == 0) != (failures == 0):
		return "", fmt.Errorf("exit %d with %d failures", result.exit, failures)
	}
	return fmt.Sprintf("%d good answers, %d failures, %d requests, all different", result.summary.OK, failures, api.Requests), nil
}

func redirectSame(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	if err := b.api.faults(ctx, fault{Kind: "redirect-same"}); err != nil {
		return "", err
	}
	result, err := b.run(ctx, nil)
	if err != nil {
		return "", err
	}
	_, api, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.succeeded(50), err); err != nil {
		return "", err
	}
	if api.Requests != 51 {
		return "", fmt.Errorf("%d requests at the API, want 51", api.Requests)
	}
	return "51 requests, all different", nil
}

// redirectOther expects that neither token nor proof goes to another origin.
func redirectOther(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	trap, err := newTrap()
	if err != nil {
		return "", err
	}
	defer trap.Close()
	if err := b.api.faults(ctx, fault{Kind: "redirect-other", Location: trap.url() + "/things"}); err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"n": "3", "c": "1"})
	if err != nil {
		return "", err
	}
	_, api, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.lost(1, 3), err); err != nil {
		return "", err
	}
	if hit := api.FaultsHit["redirect-other"]; hit != 1 {
		return "", fmt.Errorf("the redirect happened %d times, want 1", hit)
	}
	if n := trap.visitors.Load(); n > 0 {
		return "", fmt.Errorf("%d connections to the other origin", n)
	}
	return result.complaint(), nil
}

func apiDown(ctx context.Context, l *lab) (string, error) {
	b, err := l.bench(ctx, setup{})
	if err != nil {
		return "", err
	}
	nobody, err := closedURL()
	if err != nil {
		return "", err
	}
	result, err := b.run(ctx, flags{"url": nobody, "n": "3", "c": "1"})
	if err != nil {
		return "", err
	}
	_, _, err = b.stats(ctx, b.flags["scope"])
	return result.complaint(), errors.Join(result.lost(3, 3), err)
}
