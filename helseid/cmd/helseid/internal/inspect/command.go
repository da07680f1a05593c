package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/input"
	"github.com/helseid-go/sdk/internal/metadata"
)

// Command returns the command.
func Command() cli.Command {
	return cli.Command{
		Name:      "inspect",
		Arguments: "[FILE or -]",
		Summary:   "say what a token, proof, key or configuration file holds, and which rules it breaks",
		Help: `Reads an access token, ID token, logout token, DPoP proof, client assertion, request object,
JWK, key set, PEM key or configuration file, finds out which of them it is, shows what it
says, and names each rule that it breaks. Without FILE, or with -, it reads standard input.
Tokens may be pasted as HTTP headers, also over several lines, as the JSON that they came in,
and among other lines, as "helseid token -show-token" prints them. With both an access token
and a proof, the proof is checked against the token.

Nothing is sent anywhere, unless -issuer is given: then the issuer's metadata and keys are
fetched to check the signature of a token. Without -issuer, -audience, -method and -url, what
they would be compared with is taken from the input itself, and only its form is checked. A
proof is judged as if it had not been used before.

Tokens, private keys and national identity numbers are never printed. The exit code is 0 if
no rule is broken, and 1 if one is or the input is not recognised.`,
		Examples: []string{
			`helseid inspect client.json`,
			`helseid inspect -issuer https://helseid-sts.test.nhn.no -audience nhn:some-api token.txt`,
			`helseid inspect -method GET -url https://api.example.no/v1/things -token token.txt -now iat proof.txt`,
			`helseid token -show-token -json | helseid inspect`,
			`pbpaste | helseid inspect -json`,
		},
		Setup: setup,
	}
}

func setup(flags *cli.Flags) cli.Run {
	var (
		q                questions
		tokenFile, asked string
	)
	flags.StringVar(&q.issuer, "issuer", "", "issuer `URL` that tokens must be from; its keys are fetched to check their signatures")
	flags.StringVar(&q.audience, "audience", "", "short `name` of the API that an access token must be for, or the client id for other tokens")
	flags.StringVar(&q.method, "method", "", "`method` of the request that a proof must be for")
	flags.StringVar(&q.target, "url", "", "`URL` of the request that a proof must be for")
	flags.StringVar(&tokenFile, "token", "", "`file` with the access token that belongs to a proof or an ID token")
	flags.StringVar(&q.nonce, "nonce", "", "`nonce` that a proof or an ID token must have")
	flags.StringVar(&asked, "kind", "", "`kind` of JWT, in place of recognising it: "+strings.Join(kindsOfJWT(), ", "))
	flags.Var(&q.now, "now", "`time` to judge at, in place of now: as 2026-01-31T12:00:00Z, in Unix seconds, or iat, when the input says that it was issued")
	flags.NoEnvironment("now", "kind", "token") // $HELSEID_TOKEN would be taken for the token itself
	return func(ctx context.Context, out *cli.Output, arguments []string) error {
		name, err := input.Name(arguments)
		if err != nil {
			return err
		}
		q.kind = kind(asked)
		if err := q.check(); err != nil {
			return err
		}
		if tokenFile != "" {
			data, err := input.Read(out, tokenFile)
			if err != nil {
				return err
			}
			if q.accessToken = onlyToken(string(data)); q.accessToken == "" {
				return cli.Usagef("-token: the file holds no access token")
			}
		}
		data, err := input.Read(out, name)
		if err != nil {
			return err
		}
		return inspect(ctx, out, q, data)
	}
}

// questions are what the input is compared with.
type questions struct {
	issuer, audience, method, target, nonce string

	accessToken string // which belongs to a proof or an ID token
	kind        kind   // in place of recognising it
	now         moment
}

func (q *questions) check() error {
	var errs []error
	if q.issuer != "" {
		q.issuer = metadata.NormalIssuer(q.issuer)
		if err := metadata.CheckIssuer(q.issuer); err != nil {
			errs = append(errs, fmt.Errorf("-issuer %w", err))
		}
	}
	if q.kind != "" && !q.kind.isJWT() {
		errs = append(errs, fmt.Errorf("-kind is one of %s", strings.Join(kindsOfJWT(), ", ")))
	}
	if err := errors.Join(errs...); err != nil {
		return &cli.UsageError{Err: err}
	}
	return nil
}

// inspect recognises the input, reports on it, and fails if a rule is broken.
func inspect(ctx context.Context, out *cli.Output, q questions, data []byte) error {
	found := recognise(data, q.kind)
	var failed error
	for _, one := range found {
		r, err := q.report(ctx, one)
		if err != nil {
			return err
		}
		if !r.print(out) {
			failed = cli.ErrReported
		}
		if one.kind == kindAccessToken && q.accessToken == "" {
			q.accessToken = one.text // of the proof that follows
		}
	}
	return failed
}

func (q questions) report(ctx context.Context, one recognised) (*report, error) {
	switch one.kind {
	case kindAccessToken:
		return q.inspectAccessToken(ctx, one.text)
	case kindIDToken:
		return q.inspectIDToken(ctx, one.text)
	case kindLogoutToken:
		return q.inspectLogoutToken(ctx, one.text)
	case kindProof:
		return q.inspectProof(ctx, one.text)
	case kindAssertion, kindRequestObject:
		return q.inspectAssertion(one.kind, one.text)
	case kindJWK:
		return inspectJWK(one.text), nil
	case kindJWKS:
		return inspectKeySet(ctx, one.text)
	case kindPEM:
		return inspectPEM(one.text), nil
	case kindConfiguration:
		return inspectConfiguration(one.text), nil
	}
	r := &report{kind: kindUnknown}
	r.breaks("recognised", one.text)
	return r, nil
}
