//go:build unix

package selvbetjening_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
)

const (
	envFile = "SELVBETJENING_TEST_FILE"
	envURL  = "SELVBETJENING_TEST_URL"
	envStep = "SELVBETJENING_TEST_STEP"
)

// reaper ends the process at a step: before and after each request and each save.
type reaper struct {
	selvbetjening.FileStore
	base       http.RoundTripper
	step, last atomic.Int64
}

func (r *reaper) next() {
	if r.step.Add(1) == r.last.Load() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (r *reaper) RoundTrip(request *http.Request) (*http.Response, error) {
	r.next()
	response, err := r.base.RoundTrip(request)
	r.next()
	return response, err
}

func (r *reaper) Save(ctx context.Context, keys selvbetjening.StoredKeys) error {
	r.next()
	err := r.FileStore.Save(ctx, keys)
	r.next()
	return err
}

func rotationOnSockets(path, url string, store selvbetjening.KeyStore, transport http.RoundTripper) (*selvbetjening.Rotation, error) {
	config, err := helseid.LoadConfig(path)
	if err != nil {
		return nil, err
	}
	config.HTTPClient = &http.Client{Transport: transport}
	return selvbetjening.NewRotation(context.Background(), selvbetjening.RotationConfig{
		Client: config, Store: store, Kind: clientassertion.P256, Settle: -1, Selvbetjening: selvbetjening.Config{BaseURL: url},
	})
}

// TestMain runs a process of TestKilledProcesses in place of the tests.
func TestMain(m *testing.M) {
	if path := os.Getenv(envFile); path != "" {
		if err := rotatingProcess(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func rotatingProcess(path string) error {
	step, err := strconv.ParseInt(os.Getenv(envStep), 10, 64)
	if err != nil {
		return err
	}
	reaper := &reaper{FileStore: selvbetjening.FileStore{Path: path}, base: http.DefaultTransport}
	reaper.last.Store(step)
	r, err := rotationOnSockets(path, os.Getenv(envURL), reaper, reaper)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Rotate(context.Background())
}

// A process that is killed at any step loses no call of another one, is not locked out
// when it starts again, and leaves no key that nobody holds.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprintf("old keys die: %v", dies), func(t *testing.T) {
			t.Parallel()
			server := helseidtest.NewServer(t, helseidtest.Selvbetjening{OldKeysDie: dies})
			for step := 1; ; step++ {
				require.Less(t, step, 40)
				path := filepath.Join(t.TempDir(), "client.json")
				id := fmt.Sprint("client-", step)
				content := server.ConfigFile(helseidtest.Client{ID: id}, helseidtest.Scopes(selvbetjening.Scope, otherScope))
				require.NoError(t, os.WriteFile(path, content, 0o600))
				start := func(step int) error {
					process := exec.CommandContext(t.Context(), os.Args[0])
					process.Env = append(os.Environ(), envFile+"="+path, envURL+"="+server.SelvbetjeningURL(), envStep+"="+strconv.Itoa(step))
					output, err := process.CombinedOutput()
					var exit *exec.ExitError
					if errors.As(err, &exit) && exit.Exited() {
						require.NoError(t, err, "step %d: %s", step, output)
					}
					return err
				}
				survivor, err := rotationOnSockets(path, server.SelvbetjeningURL(), selvbetjening.FileStore{Path: path}, http.DefaultTransport)
				require.NoError(t, err)
				call := func() { kidInUse(t, survivor.Client()) }
				call()
				killed := start(step) != nil
				call()
				require.NoError(t, start(0), "step %d", step)
				call()
				survivor.Close()
				_, err = helseid.LoadConfig(path)
				require.NoError(t, err)
				for _, client := range server.Clients() {
					if client.ID == id && !dies && killed {
						require.LessOrEqual(t, len(client.PublicJWKs), 3, "step %d", step)
					}
				}
				if !killed {
					require.Greater(t, step, 12)
					return
				}
			}
		})
	}
}
