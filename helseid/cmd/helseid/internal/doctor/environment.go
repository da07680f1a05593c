package doctor

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// otherIssuers are hosts of issuers of Norsk helsenett's beside test and production: the
// conformance environment and the one of HelseID's own developers.
var otherIssuers = []string{"samsvarstesting-sts-test.helseid.sky.nhn.no", "helseid-sts.utvikling.nhn.no"}

// checkEnvironment finds out which HelseID is meant, and that its issuer can be one.
func checkEnvironment(_ context.Context, s *state) result {
	text, member := s.options.client.Issuer, "-issuer"
	if text == "" {
		text, member = s.config.Issuer, "the member authority of "+s.file()
	}
	if text == "" {
		return skip("no issuer is known: the file has no authority, and -issuer is not given")
	}
	text = metadata.NormalIssuer(text)
	issuer, err := url.Parse(text)
	if err != nil {
		return bad("the issuer is not a URL", "Change "+member+" to "+choices()+".")
	}
	if err := metadata.CheckIssuer(text); err != nil {
		shown := redact.Text(address(issuer))
		remedy := "Change " + member + " to " + choices() + "."
		secure, isPlain := strings.CutPrefix(shown, "http://")
		switch {
		case metadata.CheckIssuer(shown) == nil:
			remedy = "Write it without them in " + member + ": " + metadata.NormalIssuer(shown) + "."
		case isPlain:
			remedy = "Write https in " + member + ": https://" + secure + "."
		}
		return bad("the issuer "+shown+" "+err.Error(), remedy)
	}
	if problem := notAnIssuer(issuer); problem != "" {
		return bad("the issuer "+text+" "+problem, "Change "+member+" to "+suggestion(issuer)+".")
	}
	s.issuer = issuer
	switch {
	case text == helseid.Production.Issuer():
		return good("production, %s", text)
	case text == helseid.Test.Issuer():
		return good("the test environment, %s", text)
	case httpx.IsPlainLoopback(issuer):
		return good("%s on this machine, over plain http, which is accepted for loopback only", text)
	}
	return good("%s, neither HelseID's test environment nor production", text)
}

func choices() string {
	return helseid.Test.Issuer() + " (test) or " + helseid.Production.Issuer() + " (production)"
}

// notAnIssuer recognises addresses of HelseID's that are no issuers.
func notAnIssuer(issuer *url.URL) string {
	host := strings.ToLower(issuer.Hostname())
	switch {
	case strings.Contains(issuer.Path, "/.well-known/"):
		return "is the address of the metadata"
	case strings.HasSuffix(issuer.Path, "/connect/token"):
		return "is the address of the token endpoint"
	case strings.Contains(host, "selvbetjening") && isNHN(host):
		return "is HelseID Selvbetjening, which issues no tokens"
	case isNHN(host) && !slices.Contains(otherIssuers, host) && host != hostOf(helseid.Production) && host != hostOf(helseid.Test):
		return "is none of HelseID's"
	}
	return ""
}

func suggestion(issuer *url.URL) string {
	host := strings.ToLower(issuer.Hostname())
	if base, _, ok := strings.Cut(issuer.String(), "/.well-known/"); ok {
		return base
	}
	if base, ok := strings.CutSuffix(issuer.String(), "/connect/token"); ok {
		return base
	}
	if isTest(host) {
		return helseid.Test.Issuer()
	}
	return choices()
}

func isNHN(host string) bool { return strings.HasSuffix(host, ".nhn.no") }

// isTest reports that a host seems to be one of a test environment.
func isTest(host string) bool {
	return slices.ContainsFunc(strings.Split(host, "."), func(label string) bool { return label == "test" || strings.HasSuffix(label, "-test") })
}

func hostOf(environment helseid.Environment) string {
	return strings.TrimPrefix(environment.Issuer(), "https://")
}
