package metadata

import (
	"context"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

const measureTimeout = 3 * time.Second

// MeasureClock asks the server for the time, by the header Date of its metadata, and
// returns how far this machine's clock is ahead, to a second. It is not ok if the
// answer has none.
func (s *Source) MeasureClock(ctx context.Context) (ahead time.Duration, ok bool) {
	resp, _, err := httpx.Get(ctx, s.client, s.issuer+wellKnownPath, httpx.GetPolicy{Timeout: measureTimeout})
	if err != nil {
		return 0, false
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, false
	}
	ahead = time.Since(date)
	s.clock.Store(int64(ahead))
	return ahead, true
}
