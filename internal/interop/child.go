package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const readyTimeout = 30 * time.Second

// A child is a running server.
type child struct {
	url      string
	stop     func() // may be called again
	messages *messages
}

// messages is what a server has written to stderr so far.
type messages struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// startNode starts one of the servers in nodeDir.
func startNode(ctx context.Context, log io.Writer, script string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{script, "--with-parent"}, args...)...)
	cmd.Dir = nodeDir
	return startServer(cmd, log, script, func(line string) string {
		var event struct{ Event, URL string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Event != "ready" {
			return ""
		}
		return event.URL
	})
}

// startServer starts a server and waits for its first line, from which readURL reads where it
// listens.
func startServer(cmd *exec.Cmd, log io.Writer, name string, readURL func(line string) string) (*child, error) {
	// A server started with --with-parent ends when this pipe does, so it cannot outlive this process.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	complaints := new(messages)
	cmd.Stderr = io.MultiWriter(complaints, log)
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

	// When the command's context ends, so do its output and the wait for the line.
	select {
	case line := <-ready:
		if url := readURL(line); url != "" {
			return &child{url: url, stop: stop, messages: complaints}, nil
		}
	case <-time.After(readyTimeout):
	}
	stop()
	return nil, fmt.Errorf("%s did not start: %s", name, complaints)
}
