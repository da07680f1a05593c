package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Redis is a Redis or Valkey in a process of its own, on loopback, that keeps
// nothing on disk.
type Redis struct {
	// URL is where it is.
	URL string

	folder  string
	address string
	command *exec.Cmd
}

const redisStart = 20 * time.Second

// StartRedis starts one. Close it.
func StartRedis() (*Redis, error) {
	path, err := redisProgram()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "redis-")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	_ = listener.Close() // the port is free, most likely still so in a moment
	r := &Redis{URL: "redis://" + address, folder: folder, address: address}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	r.command = exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no",
		"--logfile", filepath.Join(folder, "log"))
	endWithParent(r.command)
	if err := r.command.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisStart)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return r, conn.Close()
		}
		if ctx.Err() != nil {
			r.Close()
			return nil, fmt.Errorf("%s does not start", filepath.Base(path))
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // another process starts in real time
	}
}

// Close kills it.
func (r *Redis) Close() {
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
	_ = os.RemoveAll(r.folder)
}

func redisProgram() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("a Redis is needed: apt-get install redis-server")
}
