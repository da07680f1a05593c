package selvbetjening

import (
	"maps"
	"net/http"
	"slices"
)

// The values of the status of a scope or claim.
const (
	statusOK            = "ok"
	statusPending       = "pending"
	statusUpdatePending = "updatePending"
)

func (a *API) showClient(_ *http.Request, client Client) (any, *problem) {
	scopes := []map[string]any{}
	add := func(names []string, status string, reason any) {
		for _, name := range names {
			scopes = append(scopes, map[string]any{"scope": name, "status": status, "statusReason": reason})
		}
	}
	const waits = "the API's owner has not answered yet"
	add(client.Scopes, statusOK, nil)
	add(client.PendingScopes, statusPending, waits)
	claims := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(merged(client.Claims, client.PendingClaims))) {
		claim := map[string]any{"claimType": name, "activeClaimValue": nil, "pendingClaimValue": nil, "status": statusOK, "statusReason": nil}
		active, isActive := client.Claims[name]
		if isActive {
			claim["activeClaimValue"] = active
		}
		if pending, waiting := client.PendingClaims[name]; waiting {
			claim["pendingClaimValue"], claim["statusReason"], claim["status"] = pending, waits, statusPending
			if isActive {
				claim["status"] = statusUpdatePending
			}
		}
		claims = append(claims, claim)
	}
	return map[string]any{
		"apiScopes": scopes, "audienceSpecificClientClaims": claims,
		"redirectUris": orEmpty(client.RedirectURIs), "postLogoutRedirectUris": orEmpty(client.PostLogoutRedirectURIs),
		"childOrganizationNumbers": orEmpty(client.ChildOrganizations),
	}, nil
}

// replaceClient replaces the whole configuration: a list that is null or missing
// becomes empty.
func (a *API) replaceClient(r *http.Request, client Client) (any, *problem) {
	object, refused := readJSON(r)
	if refused != nil {
		return nil, refused
	}
	wanted, refused := readWishes(object)
	if refused != nil {
		return nil, refused
	}
	if !a.Registry.ChangeClient(client.ID, func(client *Client) { a.apply(wanted, client) }) {
		return nil, errNotRegistered
	}
	return nil, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// merged returns a new map with the entries of both. The second overrides the first.
func merged(first, second map[string]string) map[string]string {
	all := maps.Clone(first)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, second)
	return all
}
