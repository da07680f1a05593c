package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// programOptions are the ways in which examples/api is started for many scenarios.
type programOptions struct {
	auth     authOptions // the authorization server whose tokens it takes
	nonces   bool
	audience string // the API that it is of those that users log in for; that of machines if empty
}

// A program is a running examples/api, the program under test.
type program struct{ *child }

// startProgram starts examples/api with these flags on top of those that it always needs.
func startProgram(ctx context.Context, log io.Writer, binary string, auth authState, nonces bool, more flags) (*program, error) {
	args := []string{"-listen=127.0.0.1:0", "-issuer=" + auth.Issuer, "-audience=" + auth.Audience, "-scope=" + auth.Scopes[0]}
	if nonces {
		args = append(args, "-nonce")
	}
	cmd := exec.CommandContext(ctx, binary, append(args, more.args()...)...) // which may name another address
	endWithParent(cmd)
	process, err := startServer(cmd, log, "examples/api", func(line string) string {
		url, found := strings.CutPrefix(line, "listening on ")
		if !found {
			return ""
		}
		return url
	})
	if err != nil {
		return nil, err
	}
	return &program{process}, nil
}

// startProgram starts an API that nobody else uses.
func (l *lab) startProgram(ctx context.Context, auth authState, nonces bool, more flags) (*program, error) {
	binary, err := l.apiBinary(ctx)
	if err != nil {
		return nil, err
	}
	started, err := startProgram(ctx, l.log, binary, auth, nonces, more)
	if err != nil {
		return nil, fatalError{err}
	}
	l.children = append(l.children, started.child)
	return started, nil
}

// program returns an API that other scenarios have used or will use.
func (l *lab) program(ctx context.Context, options programOptions) (*program, error) {
	if running, ok := l.programs[options]; ok {
		return running, nil
	}
	auth, err := l.auth(ctx, options.auth)
	if err != nil {
		return nil, err
	}
	state := auth.state
	if options.audience != "" {
		state = state.forUsersOf(options.audience)
	}
	started, err := l.startProgram(ctx, state, options.nonces, nil)
	if err != nil {
		return nil, err
	}
	l.programs[options] = started
	return started, nil
}

// healthy asks the one route that needs no token.
func (p *program) healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := controlClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz: %s", response.Status)
	}
	return nil
}

// A tally counts what an API has decided, by its own access log.
type tally struct {
	Allowed    int
	Challenges int // nonce challenges
	Refused    int // for other reasons
}

func (t tally) minus(earlier tally) tally {
	return tally{t.Allowed - earlier.Allowed, t.Challenges - earlier.Challenges, t.Refused - earlier.Refused}
}

func (p *program) tally() tally {
	var seen tally
	for line := range strings.Lines(p.messages.String()) {
		switch {
		case strings.Contains(line, `msg="request allowed"`):
			seen.Allowed++
		case strings.Contains(line, `msg="request refused"`) && strings.Contains(line, "reason="+nonceReason):
			seen.Challenges++
		case strings.Contains(line, `msg="request refused"`):
			seen.Refused++
		}
	}
	return seen
}

// nonceReason is what the access log calls a nonce challenge.
const nonceReason = "proof_nonce"

// decided checks that the API let in as many requests as its clients think since `before`. The log
// may be a moment behind the answers.
func (p *program) decided(before tally, allowed, challenges int) error {
	seen := p.tally().minus(before)
	patience := time.After(time.Second)
	for waiting := true; waiting && seen.Allowed < allowed; seen = p.tally().minus(before) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-patience:
			waiting = false
		}
	}
	if seen.Allowed != allowed || seen.Challenges != challenges {
		return fmt.Errorf("the API's access log has %d good calls and %d nonce challenges, want %d and %d",
			seen.Allowed, seen.Challenges, allowed, challenges)
	}
	return p.clean()
}

// clean checks that the API has neither written a token or proof to its log nor stumbled.
func (p *program) clean() error {
	log := p.messages.String()
	if leaked := findSecret(log, nil); leaked != "" {
		return fmt.Errorf("the API logged %s", leaked)
	}
	if strings.Contains(log, "panic") || strings.Contains(log, "\ngoroutine ") || strings.Contains(log, "DATA RACE") {
		return errors.New("the API stumbled: " + log[max(0, len(log)-2000):])
	}
	return nil
}
