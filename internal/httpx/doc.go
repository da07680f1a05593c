// Package httpx holds the HTTP rules that all packages share. For clients: https
// everywhere except on loopback, no redirect for a request that carries a credential,
// every body bounded, and retries for idempotent GETs only. For servers: calling a
// handler with another context, and changing a response's header just before it is
// sent.
package httpx
