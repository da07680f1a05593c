package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const machineTimeout = time.Minute

// flags are a program's, by name and without the dash. One with an empty value is left out.
type flags map[string]string

func (f flags) args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if f[name] != "" {
			args = append(args, "-"+name+"="+f[name])
		}
	}
	return args
}

// A result is what one run of machine has printed and returned. Without -json it has no events.
type result struct {
	exit           int
	stdout, stderr string
	calls          []call
	summary        *summary // nil if there was none
}

type call struct{ Status int }

type summary struct {
	Requests        int
	OK              int
	Failures        map[string]int
	TokenRequests   int `json:"token_requests"`
	RoundTrips      int `json:"round_trips"`
	NonceChallenges int `json:"nonce_challenges"`
}

func runMachine(ctx context.Context, log io.Writer, binary string, flags flags) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, machineTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, flags.args()...)
	cmd.WaitDelay = time.Second
	cmd.Stdout = io.MultiWriter(&stdout, log)
	cmd.Stderr = io.MultiWriter(&stderr, log)
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("machine was stopped: %w", context.Cause(ctx))
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return nil, err
	}

	r := &result{exit: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	if strings.Contains(r.stderr, "\ngoroutine ") {
		return nil, fmt.Errorf("machine crashed: %s", r.stderr)
	}
	if flags["json"] == "" {
		return r, nil
	}
	return r, r.parse()
}

// parse reads the JSON lines. Events that it does not know are none of its business.
func (r *result) parse() error {
	for line := range strings.Lines(r.stdout) {
		var event struct{ Event string }
		err := json.Unmarshal([]byte(line), &event)
		switch event.Event {
		case "call":
			var call call
			err = json.Unmarshal([]byte(line), &call)
			r.calls = append(r.calls, call)
		case "summary":
			r.summary = new(summary)
			err = json.Unmarshal([]byte(line), r.summary)
		}
		if err != nil {
			return fmt.Errorf("machine printed %q: %w", line, err)
		}
	}
	return nil
}

// firstAnswer reads the JSON of the API's first good answer, which is printed without -json only.
func (r *result) firstAnswer(into any) error {
	for line := range strings.Lines(r.stdout) {
		if body, found := strings.CutPrefix(line, "first answer: 200 "); found {
			return json.Unmarshal([]byte(body), into)
		}
	}
	return fmt.Errorf("no good answer is printed: %s", r.complaint())
}

// succeeded checks that all of n calls were answered well, and says so everywhere.
func (r *result) succeeded(n int) error {
	switch {
	case r.exit != 0:
		return fmt.Errorf("exit %d: %s", r.exit, r.complaint())
	case r.summary == nil:
		return errors.New("no summary")
	case r.summary.Requests != n || r.summary.OK != n || len(r.summary.Failures) != 0:
		return fmt.Errorf("summary %+v, want %d good answers", *r.summary, n)
	case len(r.calls) != n:
		return fmt.Errorf("%d call events, want %d", len(r.calls), n)
	}
	for _, call := range r.calls {
		if call.Status != http.StatusOK {
			return fmt.Errorf("a call event has status %d", call.Status)
		}
	}
	return nil
}

// failed checks that the program ended with this code and said why.
func (r *result) failed(exit int) error {
	if r.exit != exit {
		return fmt.Errorf("exit %d, want %d: %s", r.exit, exit, r.complaint())
	}
	if strings.TrimSpace(r.stderr) == "" {
		return errors.New("nothing on stderr says why it failed")
	}
	return nil
}

// lost checks that so many of n calls failed, that the rest did not, and that it was said why.
func (r *result) lost(failures, n int) error {
	if err := r.failed(1); err != nil {
		return err
	}
	if r.summary == nil {
		return errors.New("no summary")
	}
	counted := r.summary.failures()
	if counted != failures || r.summary.OK != n-failures || r.summary.Requests != n || len(r.calls) != n {
		return fmt.Errorf("%d call events and the summary %+v, want %d of %d calls to fail", len(r.calls), *r.summary, failures, n)
	}
	return nil
}

func (s *summary) failures() int {
	sum := 0
	for _, n := range s.Failures {
		sum += n
	}
	return sum
}

// complaint is the last line of stderr, for a scenario's own message.
func (r *result) complaint() string {
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	return lines[len(lines)-1]
}
