package doctor

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
)

const defaultTimeout = 10 * time.Second

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:    "doctor",
		Summary: "say what is wrong, step by step from the file to the call, and what mends it",
		Help: `Goes step by step from the configuration file to the call of an API, as a system, and says for
each step what is wrong and what mends it. It goes on where it can. Without -scope the token
is for all that the client has, and without -url no API is called. It changes nothing, and
prints no key, token or proof. The call is a real one: name a URL that may be called.

With -json each step is an object with "ok", and "problem" and "remedy" if ok is false. A
step with several problems has an object for each, and a step that could not be tried has
"skipped" in place of "ok". The last object is the summary.`,
		Examples: []string{
			`helseid doctor -config client.json`,
			`helseid doctor -scope "nhn:some-api/read" -url https://api.example.no/things`,
			`helseid doctor -parent 994598759 -child 999977775 -scope "nhn:some-api/read"`,
		},
		Setup: setup,
	}
}

// options are the flags.
type options struct {
	client        clientflags.Client
	token         clientflags.Token
	url, method   string
	selvbetjening string
	timeout       time.Duration
}

func setup(flags *cli.Flags) cli.Run {
	var given options
	given.client.Add(flags)
	given.token.Add(flags)
	flags.StringVar(&given.url, "url", "", "`URL` of the API to call")
	flags.StringVar(&given.method, "method", http.MethodGet, "HTTP `method` of the call, which has no body")
	flags.StringVar(&given.selvbetjening, "selvbetjening", "", "base `URL` of the API of HelseID Selvbetjening, for a server that is neither HelseID's test environment nor production")
	flags.DurationVar(&given.timeout, "timeout", defaultTimeout, "how long a step may take")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		if given.timeout <= 0 {
			return cli.Usagef("-timeout must be positive")
		}
		if _, err := os.Stat(given.client.File); err != nil && !flags.Given("config") && !flags.Given("issuer") {
			return cli.Usagef("there is no %s here: name the configuration file with -config or $HELSEID_CONFIG; HelseID Selvbetjening hands it out, and \"helseid serve -write FILE\" makes one for tests", given.client.File)
		}
		if err := checkMethod(given.method); err != nil {
			return err
		}
		target, err := parseTarget(given.url)
		if err != nil {
			return err
		}
		return examine(ctx, out, newState(given, target, out.Stdin))
	}
}

func checkMethod(method string) error {
	if _, err := http.NewRequest(method, "https://api.example.no", http.NoBody); err != nil { //nolint:noctx // it is not sent
		return cli.Usagef("-method is no HTTP method, such as GET or POST")
	}
	if method == http.MethodTrace || method == http.MethodConnect {
		return cli.Usagef("-method: a %s request must not carry a token", method)
	}
	return nil
}

// parseTarget reads -url. The error does not repeat it, since it may name a person.
func parseTarget(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	target, err := url.Parse(text)
	if err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" || target.User != nil {
		return nil, cli.Usagef("-url must be an absolute URL such as https://api.example.no/things")
	}
	return target, nil
}

// step is one check. It may use what earlier ones have put into the state.
type step struct {
	name string
	run  func(ctx context.Context, s *state) result
}

// steps are in the order in which a call comes about.
var steps = []step{
	{"file", checkFile},
	{"members", checkMembers},
	{"environment", checkEnvironment},
	{"key", checkKey},
	{"dns", checkDNS},
	{"connection", checkConnection},
	{"proxy", checkProxy},
	{"tls", checkTLS},
	{"clock", checkClock},
	{"metadata", checkMetadata},
	{"token", checkToken},
	{"registration", checkRegistration},
	{"organization", checkOrganization},
	{"scope", checkScope},
	{"api", checkAPI},
}

func examine(ctx context.Context, out *cli.Output, s *state) error {
	defer s.close()
	problems := 0
	for _, step := range steps {
		found := bounded(ctx, s, step)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report(out, step.name, found)
		problems += len(found.findings)
	}
	return summarize(out, problems)
}

func bounded(ctx context.Context, s *state, step step) result {
	ctx, cancel := context.WithTimeout(ctx, s.options.timeout)
	defer cancel()
	return step.run(ctx, s)
}
