package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
)

// Output is what a command prints to: words, or with -json one object per line. It can be
// used by several goroutines.
type Output struct {
	Stdin io.Reader

	mu             sync.Mutex
	stdout, stderr io.Writer
	asJSON         bool
	colours        bool
	path           string
}

// JSON reports whether -json was given.
func (o *Output) JSON() bool { return o.asJSON }

// Say prints a line of words. With -json it prints nothing.
func (o *Output) Say(format string, values ...any) {
	if o.asJSON {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.stdout, format+"\n", values...)
}

// Event prints an object. Without -json it prints nothing.
func (o *Output) Event(event any) {
	if !o.asJSON {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	encoder := json.NewEncoder(o.stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(event)
}

// Write prints bytes as they are, such as the body of a response.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.Write(p)
}

// Note prints a line to standard error: a warning, or what is going on.
func (o *Output) Note(format string, values ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.stderr, o.path+": "+format+"\n", values...)
}

// Good and Bad colour a word on a terminal.
func (o *Output) Good(text string) string { return o.colour("32", text) }

// Bad is for what is wrong.
func (o *Output) Bad(text string) string { return o.colour("31", text) }

func (o *Output) colour(code, text string) string {
	if !o.colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// WithoutQuery removes the query from the URL in errors of net/http, since queries may
// contain personal data.
func WithoutQuery(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	target, parseErr := url.Parse(failed.URL)
	if parseErr != nil {
		return failed.Err
	}
	return fmt.Errorf("%s %s://%s%s: %w", failed.Op, target.Scheme, target.Host, target.EscapedPath(), failed.Err)
}
