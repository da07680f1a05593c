package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/helseid-go/sdk/middleware"
)

// event is a line of -json.
type event map[string]any

// report prints what happens, in words or as JSON.
type report struct {
	stdout, stderr io.Writer
	asJSON         bool
	mu             sync.Mutex
}

func (r *report) say(what event, format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.asJSON:
		fmt.Fprintf(r.stdout, format+"\n", values...)
	case what != nil:
		_ = json.NewEncoder(r.stdout).Encode(what)
	}
}

func (r *report) warn(what string) { fmt.Fprintln(r.stderr, "api: warning:", what) }

// audit receives the middleware's records.
func (r *report) audit() func(context.Context, middleware.Record) {
	if !r.asJSON {
		return middleware.AuditLog(slog.New(slog.NewTextHandler(r.stderr, nil)))
	}
	return func(_ context.Context, record middleware.Record) {
		what := event{"event": "request", "allowed": record.Allowed, "method": record.Method, "route": record.Route}
		for name, value := range map[string]string{
			"reason": record.Reason, "cause": record.Cause, "expected": record.Expected, "client_id": record.ClientID, "token_id": record.TokenID,
			"hpr_number": string(record.HPRNumber), "parent": string(record.Organization.Parent), "child": string(record.Organization.Child),
		} {
			if value != "" {
				what[name] = value
			}
		}
		if record.Status != 0 {
			what["status"] = record.Status
		}
		if len(record.Malformed) > 0 {
			what["malformed"] = record.Malformed
		}
		r.say(what, "")
	}
}
