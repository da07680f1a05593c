package selvbetjening

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/identity"
)

// check reports all mistakes in what was added to the configuration before. What HelseID
// has taken already is not judged.
func (c Configuration) check(before Configuration, production bool) error {
	var errs []error
	if slices.Contains(before.Scopes, Scope) && !slices.Contains(c.Scopes, Scope) {
		errs = append(errs, fmt.Errorf("it removes the scope %s, without which the client can neither put it back nor renew its keys", Scope))
	}
	isOrganization := func(number identity.OrganizationNumber) bool {
		return number.Valid() && (!production || number.ValidCheckDigit())
	}
	isClaim := func(claim Claim) bool { return isName(claim.Type) && claim.Value != "" }
	errs = append(errs,
		checkAdded("Scopes", c.Scopes, before.Scopes, isName, "is not one scope: a name without spaces or quotes"),
		checkAdded("Claims", c.Claims, before.Claims, isClaim, "needs a type without spaces or quotes, and a value"),
		checkAdded("RedirectURIs", c.RedirectURIs, before.RedirectURIs, isURI, "is not an absolute URI without fragment"),
		checkAdded("PostLogoutRedirectURIs", c.PostLogoutRedirectURIs, before.PostLogoutRedirectURIs, isURI, "is not an absolute URI without fragment"),
		checkAdded("ChildOrganizations", c.ChildOrganizations, before.ChildOrganizations, isOrganization, "is not an organisation number of nine digits, the last of which fits"),
	)
	return errors.Join(errs...)
}

// checkAdded reports the elements that are new in a list and not good.
func checkAdded[T comparable](field string, list, before []T, good func(T) bool, problem string) error {
	var errs []error
	for i, element := range list {
		if !slices.Contains(before, element) && !good(element) {
			errs = append(errs, fmt.Errorf("field %s[%d] %s", field, i, problem))
		}
	}
	return errors.Join(errs...)
}

func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(char rune) bool { return char <= ' ' || char > '~' || char == '"' })
}

func isURI(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Scheme != "" && !strings.Contains(text, "#")
}
