package selvbetjening

import (
	"context"
	"net/http"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// Status says how far something is that the client has asked for.
type Status string

// What HelseID documents. There may be others.
const (
	StatusOK            Status = "ok"
	StatusPending       Status = "pending"       // it waits for an approval, and is not in force
	StatusUpdatePending Status = "updatePending" // of a claim: the new value waits, and the old one is in force
)

// ClientStatus is what HelseID says of a client's registration.
type ClientStatus struct {
	Scopes                 []ScopeStatus
	Claims                 []ClaimStatus // about the client, for the APIs that own them
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	ChildOrganizations     []identity.OrganizationNumber
}

// ScopeStatus is one API scope of a client's.
type ScopeStatus struct {
	Scope  string
	Status Status
	Reason string // in words, may be empty
}

// ClaimStatus is one claim about a client that an API has asked for.
type ClaimStatus struct {
	Type    string
	Active  string // the value in force, may be empty
	Pending string // the value that waits for an approval, may be empty
	Status  Status
	Reason  string // in words, may be empty
}

// ClientStatus reads the client's registration (GET /v1/client), with what waits for an
// approval of an API's owner. Its errors are those of [Client.ClientSecrets].
func (c *Client) ClientStatus(ctx context.Context) (*ClientStatus, error) {
	found, err := c.registration(ctx)
	if err != nil {
		return nil, err
	}
	return found.status, nil
}

// registration is a client's registration as the API has given it.
type registration struct {
	document jose.Object
	status   *ClientStatus
}

// The members of a registration.
const (
	memberScopes     = "apiScopes"
	memberClaims     = "audienceSpecificClientClaims"
	memberRedirects  = "redirectUris"
	memberPostLogout = "postLogoutRedirectUris"
	memberChildren   = "childOrganizationNumbers"
)

var members = []string{memberScopes, memberClaims, memberRedirects, memberPostLogout, memberChildren}

func (c *Client) registration(ctx context.Context) (registration, error) {
	value, err := c.get(ctx, pathClient)
	if err != nil {
		return registration{}, err
	}
	document, err := object(value, members...)
	if err != nil {
		return registration{}, named(http.MethodGet, pathClient, err)
	}
	status, err := readStatus(document)
	if err != nil {
		return registration{}, named(http.MethodGet, pathClient, err)
	}
	return registration{document, status}, nil
}

func readStatus(document jose.Object) (*ClientStatus, error) {
	var (
		status = &ClientStatus{}
		err    error
	)
	for name, list := range map[string]*[]string{
		memberRedirects: &status.RedirectURIs, memberPostLogout: &status.PostLogoutRedirectURIs,
	} {
		if *list, err = texts[string](document, name); err != nil {
			return nil, err
		}
	}
	if status.ChildOrganizations, err = texts[identity.OrganizationNumber](document, memberChildren); err != nil {
		return nil, err
	}
	if status.Scopes, err = array(document.Get(memberScopes), memberScopes, readScope); err != nil {
		return nil, err
	}
	if status.Claims, err = array(document.Get(memberClaims), memberClaims, readClaim); err != nil {
		return nil, err
	}
	return status, nil
}

func readScope(value jose.Value) (scope ScopeStatus, err error) {
	const name, status, reason = "scope", "status", "statusReason"
	element, err := object(value, name, status, reason)
	if err == nil {
		err = fields(element, map[string]*string{name: &scope.Scope, status: (*string)(&scope.Status), reason: &scope.Reason})
	}
	return scope, err
}

func readClaim(value jose.Value) (claim ClaimStatus, err error) {
	const name, active, pending, status, reason = "claimType", "activeClaimValue", "pendingClaimValue", "status", "statusReason"
	element, err := object(value, name, active, pending, status, reason)
	if err == nil {
		err = fields(element, map[string]*string{
			name: &claim.Type, active: &claim.Active, pending: &claim.Pending, status: (*string)(&claim.Status), reason: &claim.Reason,
		})
	}
	return claim, err
}
