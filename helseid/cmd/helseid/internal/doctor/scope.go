package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid"
)

// checkScope gets a token for the scopes that are asked for.
func checkScope(ctx context.Context, s *state) result {
	asked := s.asked()
	if s.client == nil || !s.metadata || s.base == nil && s.refused == nil {
		s.whyNoScoped = s.whyNoToken
		return skip("%s", s.whyNoToken)
	}
	request := s.unscoped()
	request.Resource = asked.Resource
	var found result
	for _, scope := range asked.Scopes {
		if isIdentityScope(scope) {
			found.add(scope+" is an identity scope, and a system has none: HelseID answers invalid_scope", "Leave it out of -scope. Only logins of users ask for it; what a token for an API holds of the user is the API owner's choice.")
			continue
		}
		request.Scopes = append(request.Scopes, scope)
	}
	if len(asked.Scopes) == 0 && asked.Resource == "" {
		return s.allScopes(request)
	}
	if len(request.Scopes) == 0 && asked.Resource == "" {
		s.whyNoScoped = "no scope of an API is asked for"
		return found
	}
	token, err := s.client.Token(ctx, request)
	if err != nil {
		s.whyNoScoped = "there is no token with the scope"
		why := s.refusedScope(err, request)
		if len(found.findings) > 0 && len(why.findings) == 0 {
			return found
		}
		why.findings = append(found.findings, why.findings...)
		return why
	}
	s.request = request
	if missing, ok := errors.AsType[*helseid.ScopeError](token.RequireScopes(request.Scopes...)); ok {
		s.whyNoScoped = "the token lacks a scope"
		found.findings = append(found.findings, s.missingScopes(missing)...)
		return found
	}
	s.token = token
	found.note = names(token.Scopes) + severalAPIs(token)
	return found
}

// severalAPIs warns of a token that is for several APIs.
func severalAPIs(token *helseid.Token) string {
	if len(audiences(token)) < 2 {
		return ""
	}
	return " (for several APIs, which may refuse a token that is for others too: -resource or -scope chooses one)"
}

// allScopes judges the token with all that the client has.
func (s *state) allScopes(request helseid.TokenRequest) result {
	switch {
	case s.base == nil:
		s.whyNoScoped = s.whyNoToken
		return skip("%s", s.whyNoToken)
	case len(s.base.RejectedScopes) > 0:
		return result{findings: s.missingScopes(&helseid.ScopeError{Rejected: s.base.RejectedScopes})}
	case len(s.base.Scopes) == 0:
		s.whyNoScoped = "the client has no scope"
		return bad("the client has no scope of an API", "In "+s.selvbetjeningPage()+", add the API's scopes to the client. The API's owner must grant them.")
	}
	s.request, s.token = request, s.base
	return good("all that the client has: %s%s", names(s.base.Scopes), severalAPIs(s.base))
}

// isIdentityScope recognises scopes of logins. Source: HelseID, "Scopes".
func isIdentityScope(scope string) bool {
	return slices.Contains([]string{"openid", "profile", "offline_access"}, scope) || strings.HasPrefix(scope, "helseid://scopes/")
}

func (s *state) missingScopes(missing *helseid.ScopeError) []finding {
	var found []finding
	if len(missing.Rejected) > 0 {
		found = append(found, finding{"HelseID leaves out " + names(missing.Rejected) + " (rejected_scope): the organisation has not accepted the API's terms", []string{
			"Somebody who may sign for the organisation" + s.namedParent() + " must accept the terms of use of the API that the scope is of. Its owner says where. Then run this again."}})
	}
	if len(missing.Missing) > 0 {
		found = append(found, s.unknownScope(missing.Missing, "HelseID leaves them out of the token"))
	}
	return found
}

func (s *state) namedParent() string {
	if s.organization.Parent == "" {
		return ""
	}
	return " " + string(s.organization.Parent)
}

// refusedScope explains why there is no token for the scopes.
func (s *state) refusedScope(err error, request helseid.TokenRequest) result {
	refused, ok := errors.AsType[*helseid.TokenError](err)
	switch {
	case errors.Is(err, helseid.ErrConfig):
		return bad(text(err), "Write -scope as names with spaces between them, in quotes for the shell.")
	case !ok:
		return s.failedRequest(err, "HelseID's token endpoint")
	case refused.Code == "":
		return paused(refused)
	case s.organizationRefusal(err) != nil:
		return skip("HelseID refuses the organisation")
	case refused.Code == "invalid_scope":
		return result{findings: []finding{s.unknownScope(s.notGranted(request.Scopes), refusalText(refused))}}
	case refused.Code == "invalid_target":
		return bad("HelseID issues no token for the API "+request.Resource+": "+refusalText(refused), advice(refused)+" It is what the API's scopes begin with, before the slash. "+s.haveAudiences())
	}
	return bad("HelseID issues no token for the scopes: "+refusalText(refused), advice(refused))
}

func (s *state) haveAudiences() string {
	if s.base == nil {
		return ""
	}
	return "The client has scopes of: " + strings.Join(audiences(s.base), " ") + "."
}

// notGranted are the scopes that the client does not have, as far as that is known.
func (s *state) notGranted(scopes []string) []string {
	if s.base == nil {
		return scopes
	}
	missing := slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return slices.Contains(s.base.Scopes, scope) })
	if len(missing) == 0 {
		return scopes
	}
	return missing
}

// unknownScope lists what invalid_scope can mean. HelseID does not say which scope it is,
// but a token without the parameter has all that are granted.
func (s *state) unknownScope(missing []string, answered string) finding {
	problem := "the client has not been granted " + strings.Join(missing, " ") + ": " + answered
	var remedies []string
	for _, scope := range missing {
		if status, known := s.pending[scope]; known {
			return finding{problem, []string{"HelseID Selvbetjening says that " + scope + " is " + status + ": ask the API's owner to approve it."}}
		}
		if strings.ContainsAny(scope, ",;") {
			remedies = append(remedies, "Write spaces between the names in -scope: "+scope+" is one name.")
		} else if near := nearest(scope, s.known()); near != "" {
			remedies = append(remedies, "Compare the spelling of "+scope+" with "+near+", which the client has.")
		}
	}
	grant := "If the name is right, add the scope to the client in " + s.selvbetjeningPage() + ", and ask the API's owner to grant it."
	if s.base != nil {
		grant += " Granted are: " + names(s.known()) + "."
	} else if len(missing) > 1 {
		grant += " Run this with one scope at a time to see which it is."
	}
	if len(remedies) == 0 {
		remedies = append(remedies, "Compare the spelling with the API's documentation: case, colons and slashes count.")
	}
	return finding{problem, append(remedies, grant)}
}

// known are the scopes that are known to exist.
func (s *state) known() []string {
	if s.base != nil {
		return append(slices.Clone(s.base.Scopes), s.base.RejectedScopes...)
	}
	return s.config.Registered.Scopes
}

// nearest is the scope that differs from another one in few letters, or "".
func nearest(scope string, candidates []string) string {
	best, distance := "", len(scope)/4+1
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(scope), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is how many letters must be inserted, removed or replaced.
func editDistance(a, b string) int {
	const longest = 256
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
