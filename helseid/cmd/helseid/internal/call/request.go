package call

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
)

// ownHeaders are set by the client, or by net/http for one connection.
var ownHeaders = []string{
	"Authorization", "Dpop", "Cookie", "Proxy-Authorization",
	"Host", "Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (o *options) addHeader(line string) error {
	name, value, found := strings.Cut(line, ":")
	name = http.CanonicalHeaderKey(strings.TrimSpace(name))
	switch {
	case !found:
		return errors.New(`-H: a header has the form "Name: value"`)
	case slices.Contains(ownHeaders, name):
		return fmt.Errorf("-H: %s is not yours to set", name)
	}
	o.headers.Add(name, strings.TrimSpace(value))
	return nil
}

// request makes the request without sending it.
func (o *options) request(ctx context.Context, stdin io.Reader, arguments []string) (*http.Request, error) {
	target, err := parseURL(arguments)
	if err != nil {
		return nil, err
	}
	method := o.method
	if method == "" {
		method = http.MethodGet
		if o.hasData {
			method = http.MethodPost
		}
	}
	if method == http.MethodTrace || method == http.MethodConnect {
		return nil, fmt.Errorf("-X: a %s request must not carry a token", method)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, errors.New("-X: it is no HTTP method")
	}
	for _, line := range o.lines {
		if err := o.addHeader(line); err != nil {
			return nil, err
		}
	}
	request.Header = o.headers.Clone()
	if !o.hasData {
		return request, nil
	}
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, o.setBody(request, stdin)
}

// setBody makes the body repeatable, since an API may demand a nonce.
func (o *options) setBody(request *http.Request, stdin io.Reader) error {
	path, isFile := strings.CutPrefix(o.data, "@")
	if isFile && path != "-" {
		return setFile(request, path)
	}
	data := []byte(o.data)
	if isFile {
		var err error
		if data, err = readAll(stdin); err != nil {
			return fmt.Errorf("-d: %w", err)
		}
	}
	request.ContentLength = int64(len(data))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	request.Body, _ = request.GetBody()
	return nil
}

func setFile(request *http.Request, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("-d: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("-d: %s is not a regular file: use @- and standard input", path)
	}
	request.ContentLength = info.Size()
	request.GetBody = func() (io.ReadCloser, error) { return os.Open(path) }
	request.Body, err = request.GetBody()
	return err
}

// maxMemory bounds what is held in memory: standard input, and the body of an answer as
// JSON, in bytes.
const maxMemory = 64 << 20

func readAll(source io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(source, maxMemory+1))
	if err == nil && len(data) > maxMemory {
		err = errors.New("it is longer than 64 MiB: use a file")
	}
	return data, err
}
