package main

import (
	"context"
	"io"
	"iter"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// The rest of this file depends on no router and not on HTTP: it stands for your own
// API.

// caller is what the API returns about its caller.
type caller struct {
	ClientID     string `json:"client_id"`
	Organization string `json:"organization"`
	HPRNumber    string `json:"hpr_number,omitempty"`
}

func callerOf(claims *tokenvalidation.Claims) caller {
	found := caller{ClientID: claims.ClientID, Organization: string(claims.Organization.Parent)}
	if claims.User != nil {
		found.HPRNumber = string(claims.User.HPRNumber)
	}
	return found
}

// event is one line of what the API streams.
type event struct {
	Text string `json:"text"`
}

// backend is what the handlers use.
type backend struct {
	keep archive
	news feed
}

// archive stores a document and returns its size in bytes.
type archive func(ctx context.Context, document io.Reader) (size int64, err error)

// measure is an archive that stores nothing.
func measure(_ context.Context, document io.Reader) (int64, error) {
	return io.Copy(io.Discard, document)
}

// feed yields what happens.
type feed func(ctx context.Context) iter.Seq[event]

// threeEvents is a feed in which not much happens.
func threeEvents(context.Context) iter.Seq[event] {
	return func(yield func(event) bool) {
		for _, text := range []string{"one", "two", "three"} {
			if !yield(event{text}) {
				return
			}
		}
	}
}
