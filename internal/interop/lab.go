package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A lab has everything that the scenarios share, each thing made when it is first needed.
type lab struct {
	log       io.Writer
	dir       string        // for files that live as long as the lab
	faultTime time.Duration // of the runs among random faults and with a shared session
	installed bool
	binaries  binaries
	auths     map[authOptions]*authServer
	apis      map[apiOptions]*apiServer
	programs  map[programOptions]*program
	children  []*child

	backChannel *backChannel // of clients that log users in
}

// binaries are the programs under test; an empty name is built when it is first needed.
type binaries struct{ machine, api string }

func newLab(log io.Writer, binaries binaries, faultTime time.Duration) (*lab, error) {
	dir, err := os.MkdirTemp("", "helseid-interop-")
	if err != nil {
		return nil, err
	}
	return &lab{
		log:       log,
		dir:       dir,
		faultTime: faultTime,
		binaries:  binaries,
		auths:     map[authOptions]*authServer{},
		apis:      map[apiOptions]*apiServer{},
		programs:  map[programOptions]*program{},
	}, nil
}

func (l *lab) close() {
	for _, child := range l.children {
		child.stop()
	}
	if l.backChannel != nil {
		l.backChannel.close()
	}
	if err := os.RemoveAll(l.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (l *lab) machineBinary(ctx context.Context) (string, error) {
	return l.build(ctx, "machine", &l.binaries.machine)
}

func (l *lab) apiBinary(ctx context.Context) (string, error) {
	return l.build(ctx, "api", &l.binaries.api)
}

// build builds an example program once.
func (l *lab) build(ctx context.Context, example string, binary *string) (string, error) {
	if *binary != "" {
		return *binary, nil
	}
	built := filepath.Join(l.dir, example)
	output, err := exec.CommandContext(ctx, "go", "build", "-o", built, "./examples/"+example).CombinedOutput()
	if err != nil {
		return "", fatalError{fmt.Errorf("examples/%s does not build: %w\n%s", example, err, output)}
	}
	*binary = built
	return built, nil
}

// install installs the npm packages once.
func (l *lab) install(ctx context.Context) error {
	if l.installed {
		return nil
	}
	if err := npmInstall(ctx, l.log); err != nil {
		return fatalError{err}
	}
	l.installed = true
	return nil
}

// auth returns an authorization server with its counters at zero and all faults switched off.
func (l *lab) auth(ctx context.Context, options authOptions) (*authServer, error) {
	if server, ok := l.auths[options]; ok {
		return server, server.reset(ctx)
	}
	server, _, err := l.startAuth(ctx, options)
	if err != nil {
		return nil, err
	}
	l.auths[options] = server
	return server, nil
}

// startAuth starts an authorization server that nobody else uses.
func (l *lab) startAuth(ctx context.Context, options authOptions) (*authServer, *child, error) {
	if err := l.install(ctx); err != nil {
		return nil, nil, err
	}
	file, err := l.newFile("authserver-*.json")
	if err != nil {
		return nil, nil, err
	}
	server, process, err := startAuthServer(ctx, l.log, file, options)
	if err != nil {
		return nil, nil, fatalError{err}
	}
	l.children = append(l.children, process)
	return server, process, nil
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
