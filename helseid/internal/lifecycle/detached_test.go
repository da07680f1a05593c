package lifecycle_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Detached work outlives its caller. What can be undone of it does not, until the work
// is committed.
func TestDetach(t *testing.T) {
	t.Parallel()
	type mark struct{}
	for name, test := range map[string]struct {
		leave func(context.Context) (context.Context, context.CancelFunc)
		err   error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancelled before its deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				caller, cancel := test.leave(context.WithValue(t.Context(), mark{}, "here"))
				defer cancel()
				work := lifecycle.Detach(caller)
				require.Equal(t, "here", work.Value(mark{}))
				limited, cancelLimited := context.WithTimeout(work, time.Minute)
				defer cancelLimited()
				attended, leave := lifecycle.Attended(limited)
				defer leave()
				testkit.Sleep(time.Second - 1)
				require.NoError(t, attended.Err())
				testkit.Sleep(1)
				synctest.Wait()
				require.ErrorIs(t, attended.Err(), test.err)
				require.NoError(t, limited.Err())
				gone, leaveGone := lifecycle.Attended(limited)
				defer leaveGone()
				synctest.Wait()
				require.ErrorIs(t, gone.Err(), test.err)

				lifecycle.Commit(limited)
				attended, leave = lifecycle.Attended(limited)
				defer leave()
				synctest.Wait()
				require.NoError(t, attended.Err())
			})
		})
	}
	t.Run("other work", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		lifecycle.Commit(ctx)
		attended, leave := lifecycle.Attended(ctx)
		defer leave()
		require.NoError(t, attended.Err())
		cancel()
		require.ErrorIs(t, attended.Err(), context.Canceled)
	})
}
