package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
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

// WithoutQuery removes the query from the URL in errors of net/http, and masks national
// identity numbers in its path, since both may contain personal data. The errors inside stay what they are.
func WithoutQuery(err error) error {
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	shown := "a URL"
	if target, parseErr := url.Parse(failed.URL); parseErr == nil {
		shown = (&url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path, RawPath: target.RawPath}).String()
		shown = string(jwtview.Mask([]byte(shown)))
	}
	before, _, found := strings.Cut(err.Error(), failed.Error())
	if !found {
		before = ""
	}
	return &withoutQuery{error: err, text: fmt.Sprintf("%s%s %s: %v", before, failed.Op, shown, WithoutQuery(failed.Err))}
}

type withoutQuery struct {
	error
	text string
}

func (e *withoutQuery) Error() string { return e.text }
func (e *withoutQuery) Unwrap() error { return e.error }
