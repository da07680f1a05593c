package apicall

import (
	"io"
	"net"
	"net/http/httptrace"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// noDeadlines is a connection that cannot be given a deadline.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// A connection that net/http gets for a repetition cannot be written to any more
// when net/http goes on, which over HTTP/1 looks at no context before it writes.
func TestConnectionOfARepetitionIsSpoilt(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"deadline":    func(conn net.Conn) net.Conn { return conn },
		"no deadline": func(conn net.Conn) net.Conn { return noDeadlines{conn} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := net.Pipe()
			t.Cleanup(func() { _, _ = client.Close(), server.Close() })
			go func() { _, _ = io.Copy(io.Discard, server) }()
			stops := 0
			guard := &repeatGuard{stop: func() { stops++ }}
			trace := &httptrace.ClientTrace{GetConn: func(string) {}, GotConn: func(httptrace.GotConnInfo) {}}
			guard.watch(trace)
			guard.protect("the proof")
			give := func() { trace.GetConn("address"); trace.GotConn(httptrace.GotConnInfo{Conn: wrap(client)}) }
			give()
			trace.WroteHeaderField("Dpop", []string{"another proof"})
			give()
			require.Zero(t, stops, "nothing has been written")
			trace.WroteHeaderField("dpop", []string{"the proof"})
			give()
			require.NotZero(t, stops)
			require.True(t, guard.end())
			_, err := client.Write([]byte("GET"))
			require.Error(t, err)
			trace.GotConn(httptrace.GotConnInfo{}) // HTTP/3 has no net.Conn
		})
	}
}
