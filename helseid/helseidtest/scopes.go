package helseidtest

import (
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
)

// systemScopes returns the requested scopes, all of which the client must have been
// granted, or without a request all its scopes.
func (c *Client) systemScopes(scope string) ([]string, *refusal) {
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return slices.DeleteFunc(slices.Clone(c.Scopes), isIdentityScope), nil
	}
	for _, scope := range scopes {
		// HelseID does not tell which of the two it is.
		if isIdentityScope(scope) || !slices.Contains(c.Scopes, scope) {
			return nil, invalidScope("a scope is not granted to the client, or is an identity scope, which a system does not get")
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

// apiName returns the API of a scope: scope names start with it, followed by a slash,
// or a backslash in older names.
func apiName(scope string) string {
	if i := strings.IndexAny(scope, `/\`); i > 0 {
		return scope[:i]
	}
	return scope
}

// audiencesOf returns the APIs of the scopes, or the requested resource, which must be
// one of them.
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

// signedScopes leaves out scopes whose terms the token's organisation has not signed.
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
