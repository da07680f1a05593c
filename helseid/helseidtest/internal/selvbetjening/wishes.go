package selvbetjening

import (
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// wishes is the configuration that a client requests.
type wishes struct {
	scopes, redirects, logoutRedirects, children []string
	claims                                       map[string]string
}

// apply changes the client to the requested configuration. With ManualApproval,
// additions wait.
func (a *API) apply(w wishes, client *Client) {
	granted, active := client.Scopes, client.Claims
	client.Scopes, client.Claims = nil, map[string]string{}
	client.PendingScopes, client.PendingClaims = nil, map[string]string{}
	for _, scope := range w.scopes {
		if a.ManualApproval && scope != a.Scope && !slices.Contains(granted, scope) {
			client.PendingScopes = append(client.PendingScopes, scope)
		} else {
			client.Scopes = append(client.Scopes, scope)
		}
	}
	for name, value := range w.claims {
		before, known := active[name]
		if !a.ManualApproval || known && before == value {
			client.Claims[name] = value
			continue
		}
		client.PendingClaims[name] = value
		if known {
			client.Claims[name] = before
		}
	}
	client.RedirectURIs, client.PostLogoutRedirectURIs, client.ChildOrganizations = w.redirects, w.logoutRedirects, w.children
}

// readWishes reads the members that PUT /v1/client and client drafts share, and reports
// all mistakes at once.
func readWishes(object jose.Object) (wishes, *problem) {
	var wrong []string
	list := func(name string, check func(string) bool) []string {
		value := object.Get(name)
		if value.Absent() {
			return nil
		}
		values, ok := value.Array()
		texts := claim.Texts(value)
		if !ok || len(texts) != len(values) || slices.ContainsFunc(texts, func(text string) bool { return !check(text) }) {
			wrong = append(wrong, name)
		}
		return texts
	}
	isScope := func(text string) bool { return text != "" && !strings.ContainsAny(text, " \t\r\n") }
	isURI := func(text string) bool {
		parsed, err := url.Parse(text)
		return err == nil && parsed.Scheme != "" && parsed.Fragment == ""
	}
	wanted := wishes{
		scopes:          list("apiScopes", isScope),
		redirects:       list("redirectUris", isURI),
		logoutRedirects: list("postLogoutRedirectUris", isURI),
		children:        list("childOrganizationNumbers", orgnr.IsNumber),
		claims:          map[string]string{},
	}
	values, ok := object.Get("audienceSpecificClientClaims").Array()
	if !ok && !object.Get("audienceSpecificClientClaims").Absent() {
		wrong = append(wrong, "audienceSpecificClientClaims")
	}
	for _, value := range values {
		pair, _ := value.Object()
		name, named := pair.Get("key").Text()
		text, valued := pair.Get("value").Text()
		if !named || !valued || !strings.Contains(name, "/client/claims/") {
			wrong = append(wrong, "audienceSpecificClientClaims")
			break
		}
		wanted.claims[name] = text
	}
	if len(wrong) > 0 {
		return wishes{}, badRequest("these members are malformed: " + strings.Join(wrong, ", "))
	}
	return wanted, nil
}
