package httpx

import (
	"net/http"
	"strings"
	"time"
)

// RetryAfter reads the header of that name in both its forms (RFC 9110 section 10.2.3),
// up to ten years. A date is compared with the Date of the answer if it has one, since
// the clocks may differ, otherwise with now. An invalid header is zero.
func RetryAfter(header http.Header, now time.Time) time.Duration {
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
