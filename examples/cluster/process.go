package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/redisstore"
)

// roleVariable is the environment variable that makes this program one of the
// four processes.
const roleVariable = "HELSEID_CLUSTER_ROLE"

const (
	roleAPI    = "api"
	roleClient = "client"
)

// settings are sent to a process on its standard input, where no other user of the
// machine can read them.
type settings struct {
	Name       string
	Redis      string
	ServerName string // in the certificate of Redis
	KeyPrefix  string

	// For an API.
	Issuer    string `json:",omitempty"`
	PublicURL string `json:",omitempty"`

	// TrustPersistence is for a Redis that is known to lose nothing.
	TrustPersistence bool `json:",omitempty"`

	// For a client.
	ConfigFile    []byte `json:",omitempty"`
	DPoPKey       []byte `json:",omitempty"`
	EncryptionKey string `json:",omitempty"`
	CallURL       string `json:",omitempty"`
}

// Format prints only the name, for every verb: the rest contains secrets.
func (s settings) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.Name) }

func (s settings) store() redisstore.Config {
	config := redisstore.Config{URL: identity.NewSecret(s.Redis), KeyPrefix: s.KeyPrefix, TrustPersistence: s.TrustPersistence}
	if s.ServerName != "" {
		config.TLS = &tls.Config{ServerName: s.ServerName}
	}
	if s.EncryptionKey != "" {
		config.EncryptionKeys = []identity.Secret{identity.NewSecret(s.EncryptionKey)}
	}
	return config
}

// runProcess is the main function of the four processes. They end when their standard
// input is closed, and so cannot outlive their parent.
func runProcess(ctx context.Context, role string, stdin io.Reader, stdout, stderr io.Writer) int {
	lines := json.NewDecoder(stdin)
	var settings settings
	err := lines.Decode(&settings)
	if err == nil {
		switch role {
		case roleAPI:
			err = serveAPI(ctx, settings, lines, json.NewEncoder(stdout))
		case roleClient:
			err = serveClient(ctx, settings, lines, json.NewEncoder(stdout))
		default:
			err = fmt.Errorf("unknown role %q", role)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "cluster: %s %s: %v\n", role, settings.Name, err)
		return exitFailure
	}
	return 0
}

// process is one of the four processes, seen from the parent.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser

	mu      sync.Mutex // one request at a time
	answers *json.Decoder
	pipe    *io.PipeReader
}

// oneAtATime serialises the writes of several processes.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// startProcess starts this program again in a role, and reads its first line into
// ready.
func startProcess(ctx context.Context, role string, settings settings, stderr io.Writer, ready any) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = stderr
	endWithParent(cmd)
	p := &process{name: settings.Name, cmd: cmd}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	cmd.Stdout = writer
	p.pipe, p.answers = reader, json.NewDecoder(bufio.NewReader(reader))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.ask(ctx, settings, ready); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// ask sends one line and reads one line.
func (p *process) ask(ctx context.Context, question, answer any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(p.stdin).Encode(question); err != nil {
		return fmt.Errorf("process %s: %w", p.name, err)
	}
	timeout := time.AfterFunc(2*patience, func() { p.pipe.CloseWithError(errors.New("it does not answer")) })
	defer timeout.Stop()
	stop := context.AfterFunc(ctx, func() { p.pipe.CloseWithError(ctx.Err()) })
	defer stop()
	if err := p.answers.Decode(answer); err != nil {
		return fmt.Errorf("process %s: %w", p.name, err)
	}
	return nil
}

func (p *process) close() {
	_ = p.stdin.Close()
	_ = p.pipe.Close()
	timeout := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timeout.Stop()
	_ = p.cmd.Wait() // its errors are on standard error
}
