package httpx

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trackedBody is a body that knows what was done to it.
type trackedBody struct {
	io.Reader
	read   int
	closed bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *trackedBody) Close() error {
	b.closed = true
	return nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReadBody(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	for name, test := range map[string]struct {
		body io.Reader
		size int
		err  error
	}{
		"empty":        {strings.NewReader(""), 0, nil},
		"small":        {strings.NewReader("abc"), 3, nil},
		"at the bound": {io.LimitReader(endless{}, MaxBody), MaxBody, nil},
		"one more":     {io.LimitReader(endless{}, MaxBody+1), 0, ErrTooLarge},
		"endless":      {endless{}, 0, ErrTooLarge},
		"broken":       {failing{broken}, 0, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &trackedBody{Reader: test.body}
			data, err := ReadBody(&http.Response{Body: body})
			require.ErrorIs(t, err, test.err)
			require.Len(t, data, test.size)
			require.True(t, body.closed)
			require.LessOrEqual(t, body.read, MaxBody+1)
		})
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	for name, reader := range map[string]io.Reader{"endless": endless{}, "broken": failing{errors.New("x")}, "empty": strings.NewReader("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &trackedBody{Reader: reader}
			Discard(body)
			require.True(t, body.closed)
			require.LessOrEqual(t, body.read, 128<<10)
		})
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for value, test := range map[string]struct {
		json  bool
		named string
	}{
		"application/json":                   {true, "application/json"},
		"application/json; charset=utf-8":    {true, "application/json"},
		"Application/JSON":                   {true, "application/json"},
		"application/problem+json":           {true, "application/problem+json"},
		"application/jwk-set+json":           {true, "application/jwk-set+json"},
		"text/html; charset=utf-8":           {false, "text/html"},
		"application/jsonp":                  {false, "application/jsonp"},
		"text/plain; a=\"application/json\"": {false, "text/plain"},
		"application/json-seq":               {false, "application/json-seq"},
		"":                                   {false, "no usable content type"},
		"text/" + strings.Repeat("x", 200):   {false, "no usable content type"},
		"<script>":                           {false, "no usable content type"},
		"text/html\nSet-Cookie: x":           {false, "no usable content type"},
		"application/json, application/json": {false, "no usable content type"},
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {value}}
			require.Equal(t, test.json, IsJSON(header))
			require.Equal(t, test.named, MediaType(header))
		})
	}
}
