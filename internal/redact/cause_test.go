package redact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// spoken is an error with words of others', which knows what may be logged.
type spoken struct{}

func (spoken) Error() string        { return "refused: Ola Nordmann of Lillevik legekontor" }
func (spoken) LogValue() slog.Value { return slog.StringValue("refused") }

type strange string

func (s strange) Error() string { return string(s) }

func TestCause(t *testing.T) {
	t.Parallel()
	failed := Words("the login failed")
	dial := &url.Error{Op: "Post", URL: "https://lillevik.example.no/?user=ola", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"none":                    {nil, ""},
		"own words":               {failed, "the login failed"},
		"more own words":          {fmt.Errorf("%w: start a new one", failed), "the login failed: start a new one"},
		"HelseID's words":         {fmt.Errorf("%w: redeem the code: %w", failed, spoken{}), "the login failed: redeem the code: refused"},
		"the network":             {fmt.Errorf("%w: %w: try later", failed, dial), "the login failed: dial; connection refused: try later"},
		"time":                    {fmt.Errorf("%w: %w", failed, context.DeadlineExceeded), "the login failed: no answer in time"},
		"the application's":       {fmt.Errorf("%w: %w", failed, Foreign(fmt.Errorf("Ola Nordmann: %w", io.EOF))), "the login failed: the connection broke off"},
		"the application's alone": {Foreign(errors.New("Ola Nordmann")), "another error (*errors.errorString)"},
		"a stranger's":            {fmt.Errorf("%w: %w", failed, strange("Ola Nordmann")), "the login failed: another error (redact.strange)"},
		"joined":                  {errors.Join(failed, spoken{}), "the login failed refused"},
		"twice":                   {fmt.Errorf("%w, %w", spoken{}, spoken{}), "refused, refused"},
		"with a number":           {fmt.Errorf("%w: 21916841008", failed), "the login failed: " + Placeholder},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Cause(test.err))
		})
	}
	require.Equal(t, "refused; the login failed", Kinds(fmt.Errorf("Ola Nordmann: %w, %w", spoken{}, failed)))
	require.ErrorIs(t, Foreign(fmt.Errorf("x: %w", io.EOF)), io.EOF)
	require.Equal(t, "Ola Nordmann", Foreign(errors.New("Ola Nordmann")).Error())
}

func TestIsOutage(t *testing.T) {
	t.Parallel()
	down := Outage("it is down")
	for _, err := range []error{down, fmt.Errorf("x: %w", down), fmt.Errorf("%w: %w", Words("x"), down), Foreign(errors.Join(io.EOF, down))} {
		require.True(t, IsOutage(err), "%v", err)
	}
	for _, err := range []error{nil, Words("x"), io.EOF, Foreign(io.EOF), fmt.Errorf("x: %w", Words("y"))} {
		require.False(t, IsOutage(err), "%v", err)
	}
	require.Equal(t, "it is down", Cause(down))
}
