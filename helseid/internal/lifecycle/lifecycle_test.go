package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/testkit"
)

// Close ends the lifetime and a caller's work, waits for both, and lets nothing begin.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		life, start := lifecycle.New(), time.Now()
		var finished atomic.Int32
		life.Go(func() {
			require.False(t, clock.Sleep(life.Context(), time.Hour))
			testkit.Sleep(time.Second)
			finished.Add(1)
		})
		working, done, err := life.Foreground(t.Context())
		require.NoError(t, err)
		go func() {
			<-working.Done()
			testkit.Sleep(2 * time.Second)
			finished.Add(1)
			done()
		}()
		synctest.Wait()
		require.False(t, life.Closed())
		life.Close()
		require.EqualValues(t, 2, finished.Load())
		require.Equal(t, 2*time.Second, time.Since(start))
		require.True(t, life.Closed())
		require.ErrorIs(t, life.Begin(), lifecycle.ErrClosed)
		_, _, err = life.Foreground(t.Context())
		require.ErrorIs(t, err, lifecycle.ErrClosed)
		life.Go(func() { t.Error("it has been closed") })
	})
}

// A flight knows the context of its work as long as it works.
func TestFlightsContext(t *testing.T) {
	t.Parallel()
	flight := &lifecycle.Flight{}
	require.False(t, flight.Boarded())
	require.Nil(t, flight.Context())
	flight.Board()
	flight.Work(t.Context())
	require.True(t, flight.Boarded())
	require.Equal(t, t.Context(), flight.Context())
	require.Equal(t, t.Context(), flight.Land())
	require.Nil(t, flight.Context())
	require.Nil(t, flight.Land())
	var none *lifecycle.Flight
	require.Nil(t, none.Context())
}

// A flight reports whether it waits for a signature. A caller's own work is no flight.
func TestFlight(t *testing.T) {
	t.Parallel()
	flight := &lifecycle.Flight{}
	ctx := lifecycle.WithFlight(t.Context(), flight)
	require.Same(t, flight, lifecycle.FlightOf(ctx))
	require.False(t, flight.IsSigning())
	signed := lifecycle.FlightOf(ctx).Sign()
	require.True(t, flight.IsSigning())
	signed()
	require.False(t, flight.IsSigning())
	none := lifecycle.FlightOf(context.Background())
	none.Sign()()
	require.False(t, none.IsSigning())
	require.NotNil(t, lifecycle.FlightOf(lifecycle.Unattended()))
}
