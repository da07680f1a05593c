package exchange

import (
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/internal/httpx"
)

const (
	// maxPause bounds the pause that an answer of 429 can ask for.
	maxPause = 5 * time.Minute

	// maxTroublePause is the longest pause in an answer of 5xx that is taken
	// seriously: some servers send a date in another century.
	maxTroublePause = 24 * time.Hour
)

// pause returns how long HelseID asks for no requests, or zero.
func (a Answer) pause() time.Duration {
	switch {
	case a.Status == http.StatusTooManyRequests:
		return min(httpx.RetryAfter(a.Header, a.At), maxPause)
	case a.Status >= http.StatusInternalServerError:
		return retryAfter(a.Header)
	}
	return 0
}

// retryAfter returns the pause that a server in trouble asks for, up to four seconds:
// one request at a time is no burden, and finds out when the trouble is over.
func retryAfter(header http.Header) time.Duration {
	wish := httpx.RetryAfter(header, time.Now())
	if wish > maxTroublePause {
		return 0
	}
	return min(wish, bulkhead.MaxWait)
}
