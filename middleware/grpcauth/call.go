package grpcauth

import (
	"context"
	"net/http"
	"net/url"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/helseid-go/sdk/middleware"
)

// call is a call as the server knows it.
type call struct {
	ctx      context.Context
	method   string // full
	known    bool   // to the server, which has a handler for exactly this method
	metadata metadata.MD
	peer     peer.Peer
}

func callOf(ctx context.Context, method string, known bool) call {
	found := call{ctx: ctx, method: method, known: known}
	found.metadata, _ = metadata.FromIncomingContext(ctx)
	if sender, ok := peer.FromContext(ctx); ok {
		found.peer = *sender
	}
	return found
}

// request returns the HTTP request that the call is. gRPC has no queries: a question
// mark belongs to the method's name.
func (c *call) request() middleware.Request {
	request := middleware.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "http", Path: c.method},
		Header: http.Header(c.metadata),
	}
	if authority := c.metadata[":authority"]; len(authority) == 1 {
		request.URL.Host = authority[0]
	}
	if info := c.peer.AuthInfo; info != nil && info.AuthType() == "tls" {
		request.URL.Scheme = "https"
	}
	if c.peer.Addr != nil {
		request.RemoteAddr = c.peer.Addr.String()
	}
	if c.known { // or callers could write into the audit log
		request.Route = c.method
	}
	return request
}

// decisionContext returns the context for a decision. By the local address,
// Config.TrustUnixSocket of package middleware recognises a proxy.
func (c *call) decisionContext() context.Context {
	if c.peer.LocalAddr == nil {
		return c.ctx
	}
	return context.WithValue(c.ctx, http.LocalAddrContextKey, c.peer.LocalAddr)
}
