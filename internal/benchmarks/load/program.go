package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is a server in a process of its own.
type program struct {
	address string
	command *exec.Cmd
	stdin   io.Closer
}

const startTimeout = 30 * time.Second

// announcement begins the line in which a server tells its address.
const announcement = "listening on "

// start runs a program until its announcement. It ends when its standard input
// does, or by stop.
func start(path string, args ...string) (*program, error) {
	command := exec.Command(path, args...)
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &program{command: command, stdin: stdin}
	announced := make(chan string, 1)
	go func() {
		defer close(announced)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), announcement); ok {
				announced <- strings.TrimSpace(address)
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case address, ok := <-announced:
		if ok {
			p.address = address
			return p, nil
		}
	case <-timer.C:
	}
	p.stop()
	return nil, fmt.Errorf("%s did not start", filepath.Base(path))
}

func (p *program) stop() {
	_ = p.stdin.Close()
	_ = p.command.Process.Signal(os.Interrupt)
	ended := make(chan struct{})
	go func() { _ = p.command.Wait(); close(ended) }()
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		_ = p.command.Process.Kill()
		<-ended
	}
}

// self starts this program as one of its servers.
func self(name string, args ...string) (*program, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(path, append([]string{"-serve", name}, args...)...)
}

// buildAPI builds examples/api into a folder.
func buildAPI(ctx context.Context, folder string) (path string, err error) {
	path = filepath.Join(folder, "api")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/helseid-go/sdk/examples/api").CombinedOutput()
	if err != nil {
		return "", errors.New("build examples/api: " + string(output))
	}
	return path, nil
}
