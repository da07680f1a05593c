package weblogin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/weblogin"
)

type traceKey struct{}

// carrier is a tracer that says what was carried, and how logins ended.
type carrier struct {
	trace string

	mu      sync.Mutex
	resumed []string
	ended   []error
}

func (c *carrier) Carry(context.Context) string { return c.trace }

func (c *carrier) Resume(ctx context.Context, carried string) (context.Context, func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumed = append(c.resumed, carried)
	return context.WithValue(ctx, traceKey{}, "resumed"), func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = append(c.ended, err)
	}
}

// A login's trace goes with the browser, sealed, and is there again at the callback.
func TestTraceOfALogin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		trace, carried string
		refuse         bool
	}{
		"a trace":    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
		"none":       {"", "", false},
		"too long":   {strings.Repeat("x", 129), "", false},
		"it is long": {strings.Repeat("x", 128), strings.Repeat("x", 128), false},
		"a refusal":  {"00-abc", "00-abc", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrying := &carrier{trace: test.trace}
			var checked atomic.Value
			w := newWorld(t, func(config *weblogin.Config) {
				config.Tracer = carrying
				config.SamePerson = func(ctx context.Context, _ *http.Request, _ identity.User) error {
					checked.Store(ctx.Value(traceKey{}))
					if test.refuse {
						return errors.New("somebody else")
					}
					return nil
				}
			})
			b := w.newBrowser()
			target := b.begin("/login?return_to=/me")
			if test.carried != "" {
				for _, cookie := range b.loginCookies() {
					require.NotContains(t, b.cookie(cookie), test.carried, "it is sealed")
				}
			}
			b.get(b.authenticate(target))
			require.Equal(t, "resumed", checked.Load(), "it is part of the trace")
			require.Equal(t, []string{test.carried}, carrying.resumed)
			require.Len(t, carrying.ended, 1)
			if test.refuse {
				require.ErrorIs(t, carrying.ended[0], helseid.ErrLogin)
			} else {
				require.NoError(t, carrying.ended[0])
			}
		})
	}
}
