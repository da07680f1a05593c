// Package call is the command "helseid call".
package call

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/redact"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:      "call",
		Arguments: "URL",
		Summary:   "send a request to an API, with a token and a DPoP proof",
		Help: `Sends a request as curl does, with an access token and a DPoP proof that are made for it. The body
of the answer goes to standard output as it is. The exit code is 0 for an answer of 2xx and 1 for
any other; standard error then says why the API has refused the request.

-v prints to standard error what was sent and received, without the token, the proof's signature
and other credentials. With -json the answer is one object with its status, headers and body
(body_base64 if it is no text).

A redirect within the API's origin is followed, with a new proof; one to another origin is an
error. Authorization, DPoP and Cookie cannot be given with -H.`,
		Examples: []string{
			"helseid call https://api.example.no/v1/things",
			`helseid call -scope "nhn:some-api/write" -X PUT -d @thing.json https://api.example.no/v1/things/7`,
			`helseid call -d '{"a": 1}' -H "Accept: application/fhir+json" -v https://api.example.no/v1/things`,
			"produce | helseid call -d @- -o answer.json https://api.example.no/v1/things",
		},
		Setup: setup,
	}
}

// options are the flags beside those of the client and the token.
type options struct {
	method  string
	data    string
	hasData bool
	lines   []string // headers
	headers http.Header
	file    string
	verbose bool
}

func setup(flags *cli.Flags) cli.Run {
	var (
		client clientflags.Client
		token  clientflags.Token
		opts   = options{headers: http.Header{}}
	)
	client.Add(flags)
	token.Add(flags)
	flags.StringVar(&opts.method, "X", "", "HTTP `method`; empty: GET, or POST with -d")
	flags.StringVar(&opts.data, "d", "", "`body` of the request: text, @FILE, or @- for standard input; its type is application/json unless -H names another")
	flags.Func("H", "`header` of the request, such as \"Accept: text/plain\"; can be given several times", func(line string) error {
		opts.lines = append(opts.lines, line) // an error here would quote the value
		return nil
	})
	flags.StringVar(&opts.file, "o", "", "`file` to write the body of the answer to, readable by its owner only")
	flags.BoolVar(&opts.verbose, "v", false, "print what is sent and received to standard error, without credentials")
	return func(ctx context.Context, out *cli.Output, arguments []string) error {
		opts.hasData = flags.Given("d")
		request, err := opts.request(ctx, out.Stdin, arguments)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		if client.File == "-" && opts.data == "@-" {
			return cli.Usagef("-config - and -d @- cannot both read standard input")
		}
		config, err := client.Config(out)
		if err != nil {
			return err
		}
		if opts.verbose {
			config.HTTPClient = &http.Client{Transport: &tracer{base: httpx.NewTransport(), out: out}}
		}
		return token.Explain(send(ctx, out, config, token.Request(), request, opts))
	}
}

func send(ctx context.Context, out *cli.Output, config helseid.Config, tokenRequest helseid.TokenRequest, request *http.Request, opts options) error {
	client, err := helseid.New(config)
	if err == nil {
		defer client.Close()
		err = client.Validate(tokenRequest)
	}
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	response, err := client.HTTPClient(tokenRequest).Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var problems []string
	if response.StatusCode/100 != 2 {
		problems = explain(response)
	}
	if err := answer(out, response, problems, opts.file); err != nil {
		return err
	}
	for _, problem := range problems {
		out.Note("%s", problem)
	}
	if problems != nil {
		return cli.ErrReported
	}
	return nil
}

// parseURL accepts what a token may be sent to.
func parseURL(arguments []string) (*url.URL, error) {
	switch {
	case len(arguments) == 0:
		return nil, cli.Usagef("the URL is missing")
	case len(arguments) > 1:
		return nil, cli.Usagef("unexpected argument %q", redact.Text(arguments[1]))
	}
	if !strings.Contains(arguments[0], "://") { // looked at first: a port makes it unreadable without a scheme
		return nil, cli.Usagef("the URL must begin with https://, or with http:// for this machine itself")
	}
	target, err := url.Parse(arguments[0])
	if err != nil {
		return nil, cli.Usagef("the URL cannot be read")
	}
	if target.User != nil {
		return nil, cli.Usagef("the URL holds a user or password")
	}
	if err := httpx.CheckSecure(target); err != nil {
		return nil, cli.Usagef("the URL: %w", err)
	}
	return target, nil
}
