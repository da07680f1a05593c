// Package httpx holds the HTTP habits that everything here shares: https
// everywhere but on loopback, no redirect for a request that carries a
// credential, every body bounded, and retries for idempotent GETs only. For those who
// serve, it hands a request on with another context, and looks at an answer's header
// before it is sent.
package httpx
