package redact

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

// words is an error whose text is written in this library.
type words struct {
	text        string
	unavailable bool
}

// Words makes an error, like [errors.New], whose text may be logged, since it is
// written in this library and contains nothing from outside.
func Words(text string) error { return &words{text: text} }

// Outage makes the same kind of error for something that is down: see [IsOutage].
func Outage(text string) error { return &words{text: text, unavailable: true} }

// Unavailable tells code that does not know the error whether it means that something
// is down, so that trying again later can help.
func (w *words) Unavailable() bool { return w.unavailable }

// IsOutage reports whether an error, or one that it wraps, means that something is
// down.
func IsOutage(err error) bool {
	switch wrapper := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case nil:
		return false
	case interface{ Unavailable() bool }:
		if wrapper.Unavailable() {
			return true
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case interface{ Unwrap() error }:
		return IsOutage(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapper.Unwrap(), IsOutage)
	}
	return false
}

func (w *words) Error() string { return w.text }

// foreign is an error whose text is not written in this library.
type foreign struct{ error }

// Foreign marks an error that came from the application or from something that it has
// supplied. The caller who receives the error can read it, but no log line quotes it.
func Foreign(err error) error { return &foreign{err} }

// Unwrap returns the marked error.
func (f *foreign) Unwrap() error { return f.error }

// LogValue returns the kind of the error.
func (f *foreign) LogValue() slog.Value { return slog.StringValue(Kinds(f.error)) }

// Cause returns the text of one of this library's errors, for a log line. Text from
// elsewhere is replaced by the kind of error: errors of HelseID, of a session store or
// of the network may name people, organisations and addresses.
func Cause(err error) string {
	if err == nil {
		return ""
	}
	text, ok := own(err)
	if !ok {
		return Kinds(err)
	}
	return Text(text)
}

// own returns the text of an error in which foreign text is replaced. It is not ok if
// the foreign text cannot be identified.
func own(err error) (text string, ok bool) {
	text = err.Error()
	if _, ok := err.(*words); ok { //nolint:errorlint // each error of the tree is looked at by itself
		return text, true
	}
	if logs, ok := err.(slog.LogValuer); ok {
		return logs.LogValue().Resolve().String(), true
	}
	var inner []error
	switch reflect.TypeOf(err).String() { // the wrappers that hold words and errors, in order
	case "*fmt.wrapError":
		inner = []error{errors.Unwrap(err)}
	case "*fmt.wrapErrors", "*errors.joinError":
		inner = err.(interface{ Unwrap() []error }).Unwrap()
	default:
		if inner := errors.Unwrap(err); inner != nil && inner.Error() == text {
			return own(inner)
		}
		return Kinds(err), true
	}
	var out strings.Builder
	for _, part := range inner {
		if part == nil {
			return "", false
		}
		before, after, found := strings.Cut(text, part.Error())
		replaced, ok := own(part)
		if !found || !ok {
			return "", false
		}
		out.WriteString(before)
		out.WriteString(replaced)
		text = after
	}
	out.WriteString(text)
	return out.String(), true
}

// Kinds returns the kinds of an error in fixed words of this library, whoever has
// wrapped the error.
func Kinds(err error) string {
	var found []string
	collectKinds(err, &found)
	if len(found) == 0 {
		return fmt.Sprintf("another error (%T)", err)
	}
	return strings.Join(found, "; ")
}

func collectKinds(err error, found *[]string) {
	add := func(text string) {
		if !slices.Contains(*found, text) {
			*found = append(*found, text)
		}
	}
	if err == nil {
		return
	}
	if logs, ok := err.(slog.LogValuer); ok {
		add(logs.LogValue().Resolve().String())
		return
	}
	if text, last := kind(err); text != "" {
		if add(text); last {
			return
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case interface{ Unwrap() error }:
		collectKinds(wrapper.Unwrap(), found)
	case interface{ Unwrap() []error }:
		for _, part := range wrapper.Unwrap() {
			collectKinds(part, found)
		}
	}
}

// kind describes a known error. last reports that the errors which it wraps add
// nothing.
func kind(err error) (text string, last bool) {
	switch err := err.(type) { //nolint:errorlint // each error of the tree is looked at by itself
	case *words:
		return err.text, true
	case *net.OpError:
		return err.Op, false
	case *net.DNSError:
		return "the name of the host is not known", true
	case *tls.CertificateVerificationError, x509.UnknownAuthorityError, x509.HostnameError, x509.CertificateInvalidError:
		return "the certificate is not accepted", true
	case syscall.Errno:
		return err.Error(), true
	case net.Error:
		if err.Timeout() {
			return "no answer in time", false
		}
	}
	switch err { //nolint:errorlint // each error of the tree is looked at by itself
	case context.Canceled:
		return "cancelled", true
	case context.DeadlineExceeded:
		return "no answer in time", true
	case io.EOF, io.ErrUnexpectedEOF:
		return "the connection broke off", true
	}
	return "", false
}
