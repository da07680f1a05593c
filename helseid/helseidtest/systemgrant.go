package helseidtest

import (
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/internal/jose"
)

func (s *Server) clientCredentials(form url.Values, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	scopes, refused := client.systemScopes(form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	details, refused := s.assertedDetails(client, assertion)
	if refused != nil {
		return nil, refused
	}
	if client.MultiTenant && details[claim.Parent] == nil {
		return nil, detailRefusal("HID-1007", "a multi-tenant client names no organisation")
	}
	audiences, refused := audiencesOf(scopes, form["resource"])
	if refused != nil {
		return nil, refused
	}
	scopes = slices.DeleteFunc(scopes, func(scope string) bool { return !slices.Contains(audiences, apiName(scope)) })
	return s.issue(&issuance{client: client, proof: proof, scopes: scopes, audiences: audiences, details: details})
}
