package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid"
)

// workerCommand is the argument with which this program runs itself, as a process of its own that uses
// a session.
const workerCommand = "session-worker"

// A workerOrder says what such a process shall do. It comes on standard input, since it holds secrets.
type workerOrder struct {
	ConfigFile string
	Issuer     string
	DPoPKey    []byte
	StoreURL   string
	SessionID  string
	Targets    []loadTarget
	Duration   time.Duration
}

// A workerReport says what has come of it.
type workerReport struct {
	Calls   map[string]int // good ones, by audience
	Failure string         `json:",omitempty"`
}

// work is the other process.
func work(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var order workerOrder
	if err := json.NewDecoder(stdin).Decode(&order); err != nil {
		return err
	}
	var report workerReport
	var err error
	if report.Calls, err = order.run(ctx); err != nil {
		report.Failure = err.Error()
	}
	return json.NewEncoder(stdout).Encode(report)
}

func (o workerOrder) run(ctx context.Context) (map[string]int, error) {
	key, err := dpop.ParseKey(o.DPoPKey, dpop.KeyOptions{})
	if err != nil {
		return nil, err
	}
	config, err := loginConfig(o.ConfigFile, o.Issuer, key, remoteStore{o.StoreURL})
	if err != nil {
		return nil, err
	}
	client, err := helseid.New(config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	return load(ctx, client, o.SessionID, o.Targets)
}

// runWorker runs the process to its end.
func runWorker(ctx context.Context, log io.Writer, order workerOrder) (workerReport, error) {
	var report workerReport
	self, err := os.Executable()
	if err != nil {
		return report, err
	}
	input, err := json.Marshal(order)
	if err != nil {
		return report, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, workerCommand)
	endWithParent(cmd)
	cmd.WaitDelay = time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, io.MultiWriter(&stderr, log)
	if err := cmd.Run(); err != nil {
		return report, fmt.Errorf("%s: %w: %s", workerCommand, err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		return report, fmt.Errorf("%s printed %q: %w", workerCommand, stdout.String(), err)
	}
	if report.Failure != "" {
		return report, fmt.Errorf("%s: %s", workerCommand, report.Failure)
	}
	return report, nil
}
