package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A lab has everything that the scenarios share, each thing made when it is first needed.
type lab struct {
	log       io.Writer
	dir       string // for files that live as long as the lab
	installed bool
	machine   string // the binary under test
	auths     map[authOptions]*authServer
	apis      map[apiOptions]*apiServer
	children  []*child
}

func newLab(log io.Writer, machine string) (*lab, error) {
	dir, err := os.MkdirTemp("", "helseid-interop-")
	if err != nil {
		return nil, err
	}
	return &lab{
		log:     log,
		dir:     dir,
		machine: machine,
		auths:   map[authOptions]*authServer{},
		apis:    map[apiOptions]*apiServer{},
	}, nil
}

func (l *lab) close() {
	for _, child := range l.children {
		child.stop()
	}
	if err := os.RemoveAll(l.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// machineBinary builds the program under test.
func (l *lab) machineBinary(ctx context.Context) (string, error) {
	if l.machine != "" {
		return l.machine, nil
	}
	binary := filepath.Join(l.dir, "machine")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./examples/machine").CombinedOutput()
	if err != nil {
		return "", fatalError{fmt.Errorf("examples/machine does not build: %w\n%s", err, output)}
	}
	l.machine = binary
	return binary, nil
}

// auth returns an authorization server with its counters at zero and all faults switched off.
func (l *lab) auth(ctx context.Context, options authOptions) (*authServer, error) {
	if server, ok := l.auths[options]; ok {
		return server, server.reset(ctx)
	}
	if !l.installed {
		if err := npmInstall(ctx, l.log); err != nil {
			return nil, fatalError{err}
		}
		l.installed = true
	}
	server, process, err := startAuthServer(ctx, l.log, l.dir, options)
	if err != nil {
		return nil, fatalError{err}
	}
	l.children = append(l.children, process)
	l.auths[options] = server
	return server, nil
}

// api returns an API in the same state, for the tokens of that authorization server.
func (l *lab) api(ctx context.Context, options apiOptions) (*apiServer, error) {
	if server, ok := l.apis[options]; ok {
		return server, server.reset(ctx)
	}
	server, process, err := startAPIServer(ctx, l.log, l.auths[options.auth].state, options.nonces)
	if err != nil {
		return nil, fatalError{err}
	}
	l.children = append(l.children, process)
	l.apis[options] = server
	return server, nil
}
