package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/redact"
)

// shown makes a value of HelseID's safe for the report.
func shown(text string) string {
	if text = redact.Text(text); text == "" {
		return "none"
	}
	return text
}

var observations = []question{
	{
		"token_form", "What does an access token of a system look like?", "a token request; the report has names of claims, and of their values the types, typ, alg and the tenancy",
		func(ctx context.Context, l *lab) (found answer, err error) {
			got, err := l.try(ctx, attempt{})
			if err != nil {
				return found, err
			}
			headerJSON, claimsJSON, err := jwtview.Decode(got.text("access_token"))
			if err != nil {
				found.text = "it is no JWT"
				return found, nil
			}
			var header, claims map[string]any
			if json.Unmarshal(headerJSON, &header) != nil || json.Unmarshal(claimsJSON, &claims) != nil {
				found.text = "it is no JWT of JSON objects"
				return found, nil
			}
			lifetime, _ := got.body.Get("expires_in").Seconds()
			found.text = fmt.Sprintf("typ %s, alg %s, token_type %s, expires_in %d s", shown(fmt.Sprint(header["typ"])), shown(fmt.Sprint(header["alg"])), shown(got.text("token_type")), lifetime)
			found.seen = append(found.seen, "members of the header: "+names(header))
			for _, name := range slices.Sorted(maps.Keys(claims)) {
				line := shown(name) + ": " + kindOf(claims[name])
				if name == "helseid://claims/client/client_tenancy" || name == "client_amr" {
					line += " " + shown(fmt.Sprint(claims[name]))
				}
				found.seen = append(found.seen, line)
			}
			return found, nil
		},
	},
	{
		"metadata_form", "Are the members of the metadata about logout booleans, and must requests be pushed?", "nothing more than the metadata, which has been read",
		func(_ context.Context, l *lab) (found answer, err error) {
			for _, name := range []string{
				"frontchannel_logout_supported", "frontchannel_logout_session_supported", "backchannel_logout_supported",
				"backchannel_logout_session_supported", "require_pushed_authorization_requests",
			} {
				found.seen = append(found.seen, name+" is "+shown(l.members.Get(name).Raw()))
			}
			_, text := l.members.Get("backchannel_logout_supported").Text()
			found.text = "booleans"
			if text {
				found.text = "texts"
			}
			return found, nil
		},
	},
	{
		"expired_keys", "What is at expired_jwks_uri?", "a request for that document",
		func(ctx context.Context, l *lab) (found answer, err error) {
			endpoint, err := l.document.Endpoint("expired_jwks_uri")
			if err != nil {
				found.text = "the metadata names none"
				return found, nil //nolint:nilerr // that is the answer
			}
			got, err := l.call(ctx, http.MethodGet, endpoint.String(), http.Header{"Accept": {"application/json"}}, "")
			found.see("GET", got)
			found.text = "no key set"
			if keys, ok := got.body.Get("keys").Array(); ok {
				found.text = fmt.Sprintf("a key set of %d keys", len(keys))
			}
			return found, err
		},
	},
}

func names(object map[string]any) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		all = append(all, shown(name))
	}
	return strings.Join(all, ", ")
}

func kindOf(value any) string {
	switch value := value.(type) {
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return fmt.Sprintf("array of %d", len(value))
	case map[string]any:
		return "object of " + names(value)
	}
	return "null"
}
