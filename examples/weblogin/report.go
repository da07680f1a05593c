package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// report prints what happens, in words or as JSON.
type report struct {
	stdout, stderr io.Writer
	asJSON         bool
	mu             sync.Mutex
}

func (r *report) say(event map[string]any, format string, values ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.asJSON:
		fmt.Fprintf(r.stdout, format+"\n", values...)
	case event != nil:
		_ = json.NewEncoder(r.stdout).Encode(event)
	}
}

func (r *report) warn(what string) { fmt.Fprintln(r.stderr, "weblogin: warning:", what) }
