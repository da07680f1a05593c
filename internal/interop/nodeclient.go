package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const nodeClientTimeout = time.Minute

// runNode runs one of the scripts in nodeDir to its end, and reads the line that it prints.
func runNode(ctx context.Context, l *lab, into any, script string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, nodeClientTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	cmd.Dir = nodeDir
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	_, _ = l.log.Write(append(stdout.Bytes(), stderr.Bytes()...))
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		return fmt.Errorf("%s printed %q: %w", script, stdout.String(), err)
	}
	return nil
}

// A checkResult is what a check of apiclient.mjs has seen.
type checkResult struct {
	Event      string
	Good       int // calls that were answered well
	Challenges int // nonce challenges on the way
	Detail     string
}

// runCheck runs a check of apiclient.mjs and compares what it says with what the API has logged, so
// that a check that does nothing does not pass.
func runCheck(ctx context.Context, l *lab, api *program, check string, args ...string) (string, error) {
	before := api.tally()
	var result checkResult
	err := runNode(ctx, l, &result, "apiclient.mjs", append([]string{check}, args...)...)
	if err != nil {
		return "", err
	}
	if result.Event != "done" || result.Good == 0 {
		return "", fmt.Errorf("the check %s did not say what it has done", check)
	}
	return result.Detail, api.decided(before, result.Good, result.Challenges)
}

// A session is a token with its key, in a file of apiclient.mjs.
type session struct {
	lab  *lab
	file string
}

// newSession gets a token from the authorization server.
func newSession(ctx context.Context, l *lab, auth *authServer) (*session, error) {
	file, err := l.newFile("session-*.json")
	if err != nil {
		return nil, err
	}
	var done struct{ Event string }
	return &session{l, file}, runNode(ctx, l, &done, "apiclient.mjs", "token", "--state", auth.stateFile, "--session", file)
}

// An answer is an API's last answer to a session.
type answer struct {
	Status     int
	Error      string // of the challenge
	Reason     string // of the body
	RetryAfter string `json:"retry_after"`
	Seen       map[string]int
	MS         int
}

func (s *session) call(ctx context.Context, url string) (answer, error) {
	return s.callWithin(ctx, url, 0)
}

// callWithin calls until all is well, or for so long.
func (s *session) callWithin(ctx context.Context, url string, patience time.Duration) (answer, error) {
	var last answer
	err := runNode(ctx, s.lab, &last, "apiclient.mjs", "call",
		"--session", s.file, "--url", url, "--within", fmt.Sprint(patience.Seconds()))
	return last, err
}

func (a answer) String() string {
	return fmt.Sprintf("status %d, error %q, reason %q, after %d ms; statuses seen: %v", a.Status, a.Error, a.Reason, a.MS, a.Seen)
}
