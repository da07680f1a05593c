package exchange

import (
	"net/http"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
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
		return min(parseRetryAfter(a.Header, a.At), maxPause)
	case a.Status >= http.StatusInternalServerError:
		return retryAfter(a.Header)
	}
	return 0
}

// retryAfter returns the pause that a server in trouble asks for, up to four seconds:
// one request at a time is no burden, and finds out when the trouble is over.
func retryAfter(header http.Header) time.Duration {
	wish := parseRetryAfter(header, time.Now())
	if wish > maxTroublePause {
		return 0
	}
	return min(wish, bulkhead.MaxWait)
}

// parseRetryAfter reads the header in both its forms (RFC 9110 section 10.2.3). A
// date is compared with the Date of the answer if it has one, since the clocks may
// differ, otherwise with the local clock. An invalid header is zero.
func parseRetryAfter(header http.Header, now time.Time) time.Duration {
	const most = 10 * 365 * 24 * time.Hour
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value != "" && strings.Trim(value, "0123456789") == "" {
		var wish time.Duration
		for _, digit := range value {
			wish = min(10*wish+time.Duration(digit-'0')*time.Second, most)
		}
		return wish
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(date.Sub(now), 0), most)
}
