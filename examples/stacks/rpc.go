package main

import (
	"context"

	"github.com/helseid-go/sdk/examples/stacks/stacksv1"
	"github.com/helseid-go/sdk/middleware"
)

// What follows is the API in Protocol Buffers, which Connect and gRPC share.

// chunks reads a document that comes in messages.
type chunks struct {
	receive func() ([]byte, error)
	rest    []byte
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		data, err := c.receive()
		if err != nil {
			return 0, err
		}
		c.rest = data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func callerMessage(ctx context.Context) *stacksv1.CallerResponse {
	found := callerOf(middleware.Claims(ctx))
	return &stacksv1.CallerResponse{ClientId: found.ClientID, Organization: found.Organization, HprNumber: found.HPRNumber}
}

// checkOrganization refuses callers for another parent organisation.
func checkOrganization(ctx context.Context, organization string) error {
	if organization != "" && organization == string(middleware.Claims(ctx).Organization.Parent) {
		return nil
	}
	return &middleware.Denial{Reason: middleware.ReasonParentOrganization, Detail: "the access token is not for the organisation in the request"}
}
