package tokenvalidation_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// The clock may be off by the leeway and a second, in both directions.
func TestCheckTheClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leeway, server, own time.Duration // how far HelseID's clock and Config.Time are ahead of this machine's
		says                string
	}{
		"together":              {},
		"ahead by the most":     {server: -6 * time.Second},
		"ahead by more":         {server: -7 * time.Second, says: "it is 7s ahead of HelseID's"},
		"behind by the most":    {server: 6 * time.Second},
		"behind by more":        {server: 7 * time.Second, says: "it is 7s behind HelseID's"},
		"more leeway":           {leeway: 20 * time.Second, server: 21 * time.Second},
		"more than more leeway": {leeway: 20 * time.Second, server: 22 * time.Second, says: "it is 22s behind HelseID's"},
		"own time ahead":        {own: 7 * time.Second, says: "it is 7s ahead of HelseID's"},
		"own time behind":       {own: -7 * time.Second, says: "it is 7s behind HelseID's"},
		"own time that agrees":  {server: time.Hour, own: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				server.SetClockSkew(test.server)
				validator := newValidator(t, server, func(c *tokenvalidation.Config) {
					c.Leeway = test.leeway
					c.Time = func() time.Time { return time.Now().Add(test.own) }
				})
				defer validator.Close()
				err := validator.Check(t.Context())
				if test.says == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, tokenvalidation.ErrClock)
				require.ErrorContains(t, err, test.says)
				require.NotErrorIs(t, err, tokenvalidation.ErrUnavailable)
			})
		})
	}
}

// The time is asked for every ten minutes, and every half minute while the clock is off
// or the answer has no time.
func TestCheckAsksSeldom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		skew     time.Duration
		noDate   bool
		interval time.Duration
	}{
		"a good clock":        {interval: 10 * time.Minute},
		"a clock that is off": {skew: time.Minute, interval: 30 * time.Second},
		"no time":             {noDate: true, interval: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				server.SetClockSkew(test.skew)
				asked := 0
				validator := newValidator(t, server, func(c *tokenvalidation.Config) {
					next := c.HTTPClient.Transport
					c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
						response, err := next.RoundTrip(r)
						if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
							asked++
							if test.noDate {
								response.Header.Del("Date")
							}
						}
						return response, err
					})}
				})
				defer validator.Close()
				_ = validator.Check(t.Context())
				first := asked
				require.Positive(t, first)
				for range 3 {
					wait(test.interval - time.Second)
					_ = validator.Check(t.Context())
					require.Equal(t, first, asked)
					wait(time.Second)
					_ = validator.Check(t.Context())
					first++
					require.Equal(t, first, asked)
				}
			})
		})
	}
}

func TestCheckTheKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault helseidtest.Fault
		want  error
	}{
		"no keys":        {helseidtest.Fault{Endpoint: helseidtest.EndpointJWKS, Status: http.StatusBadGateway}, tokenvalidation.ErrUnavailable},
		"no metadata":    {helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Status: http.StatusBadGateway}, tokenvalidation.ErrUnavailable},
		"another issuer": {helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Body: `{"issuer":"https://other.example.no"}`}, tokenvalidation.ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				test.fault.Times = -1
				server.Inject(test.fault)
				validator := newValidator(t, server, nil)
				defer validator.Close()
				err := validator.Check(t.Context())
				require.ErrorIs(t, err, test.want)
				require.Equal(t, test.want == tokenvalidation.ErrConfig, errors.Is(err, tokenvalidation.ErrConfig)) //nolint:errorlint // the row's error
				require.NotErrorIs(t, err, tokenvalidation.ErrClock)
			})
		})
	}
}

// A probe that has given up is not told that all is well.
func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		validator := newValidator(t, server, nil)
		defer validator.Close()
		require.NoError(t, validator.Check(t.Context()))
		server.Inject(helseidtest.Fault{Endpoint: helseidtest.EndpointMetadata, Times: -1, Delay: time.Hour})
		wait(10 * time.Minute)
		go func() { _ = validator.Check(t.Context()) }() // asks for the time
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := validator.Check(ctx)
		require.ErrorIs(t, err, tokenvalidation.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}
