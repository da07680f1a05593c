package helseidtest

import (
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
)

// systemScopes are the scopes asked for, all of which the client must have been
// granted, or all that it has.
func (c *Client) systemScopes(scope string) ([]string, *refusal) {
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return slices.DeleteFunc(slices.Clone(c.Scopes), isIdentityScope), nil
	}
	for _, scope := range scopes {
		if isIdentityScope(scope) {
			return nil, invalidScope("a system has no identity scopes")
		}
		if !slices.Contains(c.Scopes, scope) {
			return nil, invalidScope("a scope is not granted to the client")
		}
	}
	return scopes, nil
}

func isIdentityScope(scope string) bool {
	switch scope {
	case "openid", "profile", "offline_access":
		return true
	}
	return strings.HasPrefix(scope, "helseid://scopes/")
}

// apiName is the API that a scope belongs to: scope names start with it, up to
// a slash, or a backslash in older ones.
func apiName(scope string) string {
	if i := strings.IndexAny(scope, `/\`); i > 0 {
		return scope[:i]
	}
	return scope
}

// audiencesOf are the APIs of the scopes, or the resource asked for, which must
// be one of them.
func audiencesOf(scopes, resources []string) ([]string, *refusal) {
	var audiences []string
	for _, scope := range scopes {
		if name := apiName(scope); !isIdentityScope(scope) && !slices.Contains(audiences, name) {
			audiences = append(audiences, name)
		}
	}
	if len(resources) == 0 {
		return audiences, nil
	}
	for _, resource := range resources {
		if !slices.Contains(audiences, resource) {
			return nil, invalidTarget("the resource is not one of the scopes' APIs")
		}
	}
	return resources, nil
}

// signedScopes leaves out the scopes whose terms the organisation that the
// token is for has not signed.
func (c *Client) signedScopes(scopes []string, details map[string]any) (signed, rejected []string) {
	parent, ok := details[claim.Parent].(string)
	if !ok {
		parent = c.ParentOrganization
	}
	for _, scope := range scopes {
		if slices.Contains(c.UnsignedTerms[parent], scope) {
			rejected = append(rejected, scope)
		} else {
			signed = append(signed, scope)
		}
	}
	return signed, rejected
}
