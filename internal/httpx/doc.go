// Package httpx holds the HTTP habits that everything here shares: https
// everywhere but on loopback, no redirect for a request that carries a
// credential, every body bounded, and retries for idempotent GETs only.
package httpx
