//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

const (
	scope = "nhn:test-api/read"

	// callers of the survivor make a call each in this time, every second one without a
	// token.
	callers  = 4
	callTime = 20 * time.Millisecond

	minSteps, maxSteps = 12, 60
)

// finding is what came of many kills.
type finding struct {
	dies  bool // the old key, as soon as another is registered
	steps int

	mu                                         sync.Mutex
	kills, lockouts, orphans, most, unreported int
	calls, lost                                int64
	first                                      error // that a call or a restart failed with
}

func (f *finding) String() string {
	mode := "old keys live on"
	if f.dies {
		mode = "old keys die at once"
	}
	return fmt.Sprintf("%s: %d kills at %d steps; %d calls of the survivor, %d lost; %d lockouts after a restart; %d orphans, %d after one kill at most, %d not reported",
		mode, f.kills, f.steps, f.calls, f.lost, f.lockouts, f.orphans, f.most, f.unreported)
}

func (f *finding) verdict() error {
	switch {
	case f.lost > 0 || f.lockouts > 0:
		return fmt.Errorf("%d calls were lost, %d processes were locked out, the first with: %w", f.lost, f.lockouts, f.first)
	case f.most > 1 || f.unreported > 0:
		return fmt.Errorf("there were %d orphans after one kill, and %d were not reported", f.most, f.unreported)
	case f.steps < minSteps || f.kills < f.steps || f.calls == 0:
		return errors.New("nothing was tested")
	}
	return nil
}

// killAtEachStep kills so many processes at each step. The first step that a process
// survives is one too many.
func killAtEachStep(ctx context.Context, dies bool, times, parallel int) (*finding, error) {
	server, err := helseidtest.Start(helseidtest.Selvbetjening{OldKeysDie: dies})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	folder, err := os.MkdirTemp("", "rotationkill-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	found := &finding{dies: dies}
	for step := 1; step <= maxSteps; step++ {
		var survived atomic.Bool
		var errs []error
		var workers sync.WaitGroup
		var turn atomic.Int64
		for range min(parallel, times) {
			workers.Go(func() {
				for {
					i := int(turn.Add(1))
					if i > times || survived.Load() || ctx.Err() != nil {
						return
					}
					killed, err := found.kill(ctx, server, folder, step, i)
					if !killed {
						survived.Store(true)
					}
					if err != nil {
						found.mu.Lock()
						errs = append(errs, err)
						found.mu.Unlock()
						survived.Store(true)
					}
				}
			})
		}
		workers.Wait()
		if err := errors.Join(append(errs, ctx.Err())...); err != nil {
			return nil, err
		}
		if survived.Load() {
			return found, nil
		}
		found.steps = step
	}
	return nil, errors.New("a replacement has no end")
}

// kill kills one process at a step, and starts it again.
func (f *finding) kill(ctx context.Context, server *helseidtest.Server, folder string, step, i int) (killed bool, err error) {
	id := fmt.Sprintf("client-%d-%d", step, i)
	path := filepath.Join(folder, id, "client.json")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil { // of its own, as FileStore locks it
		return false, err
	}
	content := server.ConfigFile(helseidtest.Client{ID: id}, helseidtest.Scopes(selvbetjening.Scope, scope))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return false, err
	}
	var reported orphans
	other, err := startSurvivor(ctx, path, server.SelvbetjeningURL(), &reported)
	if err != nil {
		return false, err
	}
	_, err = runVictim(ctx, path, server.SelvbetjeningURL(), step, &reported)
	killed, fatal := wasKilled(err), err
	var output string
	if killed {
		output, fatal = runVictim(ctx, path, server.SelvbetjeningURL(), 0, &reported)
	}
	other.stop()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls += other.calls.Load()
	f.lost += other.lost.Load()
	if killed {
		f.kills++
	}
	if fatal != nil {
		f.lockouts++
		other.note(fmt.Errorf("step %d: %w: %s", step, fatal, output))
	}
	if f.first == nil {
		f.first = other.first
	}
	unknown, err := unknownKeys(ctx, server, id, path)
	f.orphans += len(unknown)
	f.most = max(f.most, len(unknown))
	for _, kid := range unknown {
		if !reported.has(kid) {
			f.unreported++
		}
	}
	return killed, err
}

// runVictim runs this program as a victim.
func runVictim(ctx context.Context, path, url string, step int, reported *orphans) (output string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	process := exec.CommandContext(ctx, self)
	process.Env = append(os.Environ(), envFile+"="+path, envURL+"="+url, envStep+"="+strconv.Itoa(step))
	combined, err := process.CombinedOutput()
	for line := range strings.Lines(string(combined)) {
		if kid, ok := strings.CutPrefix(strings.TrimSpace(line), orphanLine); ok {
			reported.add(kid)
		}
	}
	return string(combined), err
}

func wasKilled(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// survivor is another instance with the same store. It looks after the key too, and makes
// calls all the time.
type survivor struct {
	rotation    *selvbetjening.Rotation
	cancel      context.CancelFunc
	running     sync.WaitGroup
	calls, lost atomic.Int64

	mu    sync.Mutex
	first error
}

func startSurvivor(ctx context.Context, path, url string, reported *orphans) (*survivor, error) {
	rotation, err := newRotation(path, url, selvbetjening.FileStore{Path: path}, http.DefaultTransport, reported.add)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &survivor{rotation: rotation, cancel: cancel}
	s.running.Go(func() { rotation.Run(ctx) })
	for i := range callers {
		s.running.Go(func() { s.call(ctx, i%2 == 0) })
	}
	return s, nil
}

func (s *survivor) call(ctx context.Context, forgets bool) {
	source := s.rotation.Client().TokenSource(helseid.TokenRequest{Scopes: []string{scope}})
	ticker := time.NewTicker(callTime)
	defer ticker.Stop()
	for {
		if forgets {
			source.Forget(context.WithoutCancel(ctx))
		}
		_, err := source.Token(context.WithoutCancel(ctx))
		s.calls.Add(1)
		if err != nil {
			s.lost.Add(1)
			s.note(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *survivor) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

// stop ends the survivor after one more call by each of its callers.
func (s *survivor) stop() {
	s.cancel()
	s.running.Wait()
	s.rotation.Close()
}

// unknownKeys are the kids that HelseID knows, and the store does not.
func unknownKeys(ctx context.Context, server *helseidtest.Server, id, path string) (unknown []string, err error) {
	stored, err := selvbetjening.FileStore{Path: path}.Load(ctx)
	if err != nil {
		return nil, err
	}
	known := append(slices.Clone(stored.Replaced), stored.Current.ID())
	if stored.Pending != nil {
		known = append(known, stored.Pending.ID())
	}
	clients := server.Clients()
	at := slices.IndexFunc(clients, func(client helseidtest.Client) bool { return client.ID == id })
	if at < 0 {
		return nil, errors.New("the client is gone")
	}
	for _, jwk := range clients[at].PublicJWKs {
		var key struct {
			ID string `json:"kid"`
		}
		if err := json.Unmarshal([]byte(jwk), &key); err != nil {
			return nil, err
		}
		if !slices.Contains(known, key.ID) {
			unknown = append(unknown, key.ID)
		}
	}
	return unknown, nil
}

// orphans are the kids that have been reported.
type orphans struct {
	mu   sync.Mutex
	kids []string
}

func (o *orphans) add(kid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kids = append(o.kids, kid)
}

func (o *orphans) has(kid string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.kids, kid)
}
