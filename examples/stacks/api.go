package main

import (
	"context"
	"io"

	"github.com/helseid-go/sdk/tokenvalidation"
)

// What follows knows no router and no HTTP: it stands for your own API.

// caller is what the API tells of its caller.
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

// archive keeps a document and tells how many bytes it has.
type archive func(ctx context.Context, document io.Reader) (size int64, err error)

// measure is an archive that keeps nothing.
func measure(_ context.Context, document io.Reader) (int64, error) {
	return io.Copy(io.Discard, document)
}
