// Package probe is the command "helseid probe".
package probe

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/clientflags"
	"github.com/helseid-go/sdk/internal/httpx"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:    "probe",
		Summary: "find out what HelseID's test environment does where its documents are silent",
		Help: `Asks HelseID's test environment questions that its documents leave open, such as how long a nonce
can be used, by sending requests of your client, right and wrong ones, and looking at the answers.
It prints what was seen as a report, which holds neither tokens nor numbers of people nor your
client's id: please send it to https://github.com/helseid-go/sdk/issues.

Without further flags it sends about 60 requests, waits for the age of nonces (-patience) and changes
nothing at HelseID. -list says for each question what is sent, and sends nothing. Two flags ask
questions that change something:

  -login             a test user logs in with a browser; refresh tokens are used twice, and the
                     login is ended
  -register-key F    two keys are registered for the client at HelseID Selvbetjening. Before that
                     they are in F, the client's new configuration file: use it from then on, since
                     HelseID may stop to take the old key

It refuses production. -parent or -child let it ask about organisations.`,
		Examples: []string{
			"helseid probe -list",
			`helseid probe -scope "nhn:some-api/read" >report.txt`,
			"helseid probe -json -patience 10m -login -register-key new-client.json",
			"helseid probe -only nonce_reuse,proof_time",
		},
		Setup: setup,
	}
}

type options struct {
	only     string
	list     bool
	patience time.Duration
	login    bool
	keyFile  string
	selfURL  string
}

func setup(flags *cli.Flags) cli.Run {
	var (
		client clientflags.Client
		token  clientflags.Token
		opts   options
	)
	client.Add(flags)
	token.Add(flags)
	flags.StringVar(&opts.only, "only", "", "`names` of the questions to ask, with commas; empty: all")
	flags.BoolVar(&opts.list, "list", false, "say what would be asked and sent, and send nothing")
	flags.DurationVar(&opts.patience, "patience", 2*time.Minute, "longest `time` to wait for the age of a nonce")
	flags.BoolVar(&opts.login, "login", false, "let a test user log in, and ask about logins")
	flags.StringVar(&opts.keyFile, "register-key", "", "`file` for the client's configuration with a new key, which is registered")
	flags.StringVar(&opts.selfURL, "selvbetjening", "", "`URL` of the API of HelseID Selvbetjening; empty: that of the test environment")
	flags.NoEnvironment("login", "register-key")
	return func(ctx context.Context, out *cli.Output, _ []string) error {
		asked, err := choose(opts.only)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		if opts.list {
			list(out, asked)
			return nil
		}
		config, err := client.Config(out)
		if err != nil {
			return err
		}
		l, err := newLab(config, token.Request(), opts)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		l.configFile, l.note = client.File, out.Note
		return report(ctx, out, l, asked)
	}
}

func choose(only string) ([]question, error) {
	all := questions()
	if only == "" {
		return all, nil
	}
	var chosen []question
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(q question) bool { return q.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, cli.Usagef("-only: there is no question %q; -list names them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func list(out *cli.Output, asked []question) {
	for _, q := range asked {
		out.Event(map[string]any{"event": "question", "question": q.name, "text": q.text, "sends": q.sends})
		out.Say("%s: %s\n    %s", q.name, q.text, q.sends)
	}
}

// refuseProduction accepts an issuer that is known not to be production. Of Norsk
// helsenett's hosts these are few.
func refuseProduction(issuer string) error {
	u, err := url.Parse(issuer)
	if err == nil {
		err = httpx.CheckSecure(u)
	}
	if err != nil {
		return err
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	test := func(suffix string) bool { return strings.HasSuffix(host, suffix) }
	switch {
	case host != "nhn.no" && !test(".nhn.no"), test(".test.nhn.no"), test(".utvikling.nhn.no"), test("-test.helseid.sky.nhn.no"):
		return nil
	}
	return errors.New("probe runs against HelseID's test environment, never against production: use the configuration file of a test client")
}

// answerEvent is an answer as JSON.
type answerEvent struct {
	Event    string   `json:"event"`
	Question string   `json:"question"`
	Text     string   `json:"text"`
	Answer   string   `json:"answer,omitempty"`
	Seen     []string `json:"seen,omitempty"`
	NotAsked string   `json:"not_asked,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}

// report asks the questions and prints the answers. It goes on where a question has none,
// unless HelseID asks for a pause.
func report(ctx context.Context, out *cli.Output, l *lab, asked []question) error {
	if err := l.prepare(ctx); err != nil {
		return err
	}
	defer l.close()
	when := time.Now().UTC().Format(time.RFC3339)
	out.Event(map[string]any{"event": "report", "issuer": l.config.Issuer, "time": when, "program": httpx.UserAgent()})
	out.Say("What %s does, seen by %s at %s", l.config.Issuer, httpx.UserAgent(), when)
	answered, failed := 0, 0
	for _, q := range asked {
		found, err := q.ask(ctx, l)
		if ctx.Err() != nil || errors.Is(err, errPause) {
			return err
		}
		event := answerEvent{Event: "answer", Question: q.name, Text: q.text, Answer: found.text, Seen: found.seen}
		switch why, notAsked := errors.AsType[notAskedError](err); {
		case notAsked:
			event.NotAsked = why.Error()
		case err != nil:
			failed++
			event.Problem = cli.WithoutQuery(err).Error()
		default:
			answered++
		}
		event.print(out)
	}
	out.Event(map[string]any{"event": "summary", "answered": answered, "not_asked": len(asked) - answered - failed, "failed": failed, "requests": l.requests})
	out.Say("\n%d of %d questions answered, with %d requests", answered, len(asked), l.requests)
	if failed > 0 {
		return cli.ErrReported
	}
	return nil
}

func (e answerEvent) print(out *cli.Output) {
	out.Event(e)
	out.Say("\n%s: %s", e.Question, e.Text)
	switch {
	case e.NotAsked != "":
		out.Say("  not asked: %s", e.NotAsked)
	case e.Problem != "":
		out.Say("  %s", out.Bad("no answer: "+e.Problem))
	default:
		out.Say("  %s", out.Good(e.Answer))
	}
	for _, line := range e.Seen {
		out.Say("  - %s", line)
	}
}

// notAskedError says why a question was not asked.
type notAskedError string

func (e notAskedError) Error() string { return string(e) }

// needs are reasons that several questions have.
const (
	needsOrganization = notAskedError("it needs -parent or -child")
	needsLogin        = notAskedError("it needs -login")
	needsRedirectURI  = notAskedError("the configuration file has no redirect URI on loopback, such as http://localhost:8080/callback")
	needsKeyFile      = notAskedError("it needs -register-key")
)

// question is one that the documents leave open.
type question struct {
	name, text string
	sends      string // what is sent for it, and what that changes
	ask        func(ctx context.Context, l *lab) (answer, error)
}

// answer is what was seen.
type answer struct {
	text string
	seen []string
}

func (a *answer) see(what string, r reply) { a.seen = append(a.seen, what+": "+r.String()) }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// questions are in the order in which they are asked: what waits, logs in or changes
// something comes last.
func questions() []question {
	return slices.Concat(observations, nonceQuestions, proofQuestions, assertionQuestions, detailQuestions, endpointQuestions, waitingQuestions, loginQuestions, keyQuestions)
}

var (
	errNoKey = errors.New("the configuration has no key of its own")
	errPause = errors.New("HelseID asks for a pause (429): run the probe again later")
)
