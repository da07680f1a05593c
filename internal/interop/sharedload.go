package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/helseid-go/sdk/helseid"
)

// A loadTarget is an API that is called on behalf of a user.
type loadTarget struct{ Audience, URL string }

// loadWorkers is how many calls a process makes at a time for each API.
const loadWorkers = 3

// load calls the APIs on behalf of a session for as long as the context lives. The session is looked up
// again for each call, as a web application does. It returns how many good calls each API was asked
// for; the first failure ends it.
func load(ctx context.Context, client *helseid.Client, sessionID string, targets []loadTarget) (map[string]int, error) {
	stop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	counts := make([]atomic.Int64, len(targets))
	var running sync.WaitGroup
	for i, target := range targets {
		for range loadWorkers {
			running.Go(func() {
				for stop.Err() == nil {
					// A call that has been begun is finished.
					if err := loadOnce(context.WithoutCancel(ctx), client, sessionID, target); err != nil {
						cancel(fmt.Errorf("after %d calls of %s: %w", counts[i].Load(), target.Audience, err))
						return
					}
					counts[i].Add(1)
				}
			})
		}
	}
	running.Wait()
	made := map[string]int{}
	for i, target := range targets {
		made[target.Audience] = int(counts[i].Load())
	}
	if ctx.Err() == nil {
		return made, context.Cause(stop)
	}
	return made, nil
}

func loadOnce(ctx context.Context, client *helseid.Client, sessionID string, target loadTarget) error {
	session, err := client.Sessions().Get(ctx, sessionID)
	if err != nil {
		return err
	}
	_, err = callPractitioner(ctx, session, target.URL, target.Audience)
	return err
}
