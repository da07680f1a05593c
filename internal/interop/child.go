package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"
)

const readyTimeout = 30 * time.Second

// A child is a running server.
type child struct {
	url  string
	stop func()
}

// startNode starts a server and waits for the line in which it says where it listens.
func startNode(ctx context.Context, log io.Writer, script string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{script, "--with-parent"}, args...)...)
	cmd.Dir = nodeDir
	// The server ends when this pipe does, so it cannot outlive this process.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaints bytes.Buffer // read only after the process has ended
	cmd.Stderr = io.MultiWriter(&complaints, log)
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	ready := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stdout)
		lines.Scan()
		ready <- lines.Text()
		for lines.Scan() {
			fmt.Fprintln(log, lines.Text())
		}
	}()
	stop := func() {
		_ = cmd.Process.Kill() // fails only if it has ended already
		<-drained
		_ = cmd.Wait() // "killed" is what it is meant to say
	}

	var event struct{ Event, URL string }
	select {
	case line := <-ready:
		if err := json.Unmarshal([]byte(line), &event); err == nil && event.Event == "ready" {
			return &child{url: event.URL, stop: stop}, nil
		}
	case <-time.After(readyTimeout):
	case <-ctx.Done():
	}
	stop()
	return nil, fmt.Errorf("%s did not start: %s", script, complaints.Bytes())
}
