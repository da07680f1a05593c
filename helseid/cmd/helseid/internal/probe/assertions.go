package probe

import (
	"context"
	"fmt"
	"strings"
	"time"
)

var assertionQuestions = []question{
	{
		"assertion_reuse", "Is a client assertion accepted twice?", "two token requests with one client assertion",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if _, err := l.try(ctx, attempt{}); err != nil { // for a nonce that is good
				return found, err
			}
			assertion, err := l.assertion(ctx, attempt{})
			if err != nil {
				return found, err
			}
			var last reply
			for _, use := range []string{"first use", "second use"} {
				if last, err = l.send(ctx, attempt{sentAssertion: assertion}); err != nil {
					return found, err
				}
				found.see(use, last)
			}
			if last.code == "use_dpop_nonce" { // the nonce was for once: it is not the assertion
				last, err = l.send(ctx, attempt{sentAssertion: assertion})
				found.see("third use, with another nonce", last)
			}
			found.text = yesNo(last.ok())
			return found, err
		},
	},
	{
		"assertion_type", "Which values of the assertion's typ are accepted, beside client-authentication+jwt?", "token requests with assertions of other types",
		func(ctx context.Context, l *lab) (answer, error) {
			return l.accepted(ctx, []variant{
				{"JWT", func(header, _ map[string]any) { header["typ"] = "JWT" }},
				{"none", func(header, _ map[string]any) { delete(header, "typ") }},
				{"another one", func(header, _ map[string]any) { header["typ"] = "application/x" }},
			})
		},
	},
	{
		"assertion_kid", "Is an assertion without kid accepted?", "a token request with such an assertion",
		func(ctx context.Context, l *lab) (answer, error) {
			return l.accepted(ctx, []variant{{"no kid", func(header, _ map[string]any) { delete(header, "kid") }}})
		},
	},
	{
		"assertion_audience", "Which values of the assertion's aud are accepted, beside the issuer?", "token requests with assertions for other audiences",
		func(ctx context.Context, l *lab) (answer, error) {
			endpoint, err := l.document.Endpoint("token_endpoint")
			if err != nil {
				return answer{}, err
			}
			audience := func(value any) func(_, claims map[string]any) {
				return func(_, claims map[string]any) { claims["aud"] = value }
			}
			return l.accepted(ctx, []variant{
				{"the token endpoint", audience(endpoint.String())},
				{"the issuer and a slash", audience(l.config.Issuer + "/")},
				{"the issuer in an array", audience([]string{l.config.Issuer})},
				{"issuer and token endpoint", audience([]string{l.config.Issuer, endpoint.String()})},
			})
		},
	},
	{
		"assertion_lifetime", "How long may an assertion be valid, from iat to exp?", "token requests with assertions that live longer",
		func(ctx context.Context, l *lab) (found answer, err error) {
			accepted, refused, err := l.reach(ctx, &found, "long", seconds(60, 61, 90, 120, 300, 600, 3600), func(step time.Duration) attempt {
				return attempt{assertion: func(_, claims map[string]any) { claims["exp"] = claims["iat"].(int64) + int64(step.Seconds()) }}
			})
			found.text = between(accepted, refused)
			return found, err
		},
	},
	{
		"assertion_time", "How far may an assertion's times be from HelseID's?", "token requests with assertions that are dated later, and with expired ones",
		func(ctx context.Context, l *lab) (found answer, err error) {
			early, tooEarly, err := l.reach(ctx, &found, "in the future", seconds(2, 5, 10, 30, 60, 120, 300, 600), func(step time.Duration) attempt {
				return attempt{assertion: shift(step, 0)}
			})
			if err != nil {
				return found, err
			}
			late, tooLate, err := l.reach(ctx, &found, "after exp", seconds(2, 5, 10, 30, 60, 120, 300, 600), func(step time.Duration) attempt {
				return attempt{assertion: shift(-step, -30*time.Second)}
			})
			found.text = fmt.Sprintf("iat and nbf in the future: %s; after exp: %s", between(early, tooEarly), between(late, tooLate))
			return found, err
		},
	},
}

// shift dates an assertion, and moves its beginning further.
func shift(by, begin time.Duration) func(_, claims map[string]any) {
	return func(_, claims map[string]any) {
		now := claims["iat"].(int64)
		start := now + int64((by + begin).Seconds())
		claims["iat"], claims["nbf"], claims["exp"] = start, start, start+30
	}
}

// variant is an assertion that differs from a good one.
type variant struct {
	name   string
	change func(header, claims map[string]any)
}

// accepted tries variants, and names those that are accepted.
func (l *lab) accepted(ctx context.Context, variants []variant) (found answer, err error) {
	var names []string
	for _, variant := range variants {
		got, err := l.try(ctx, attempt{assertion: variant.change})
		if err != nil {
			return found, err
		}
		found.see(variant.name, got)
		if got.ok() {
			names = append(names, variant.name)
		}
	}
	found.text = "accepted: " + strings.Join(names, ", ")
	if len(names) == 0 {
		found.text = "accepted: none of them"
	}
	return found, nil
}
