package helseidtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

const (
	tokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

	// maxActors bounds a chain of exchanges. HelseID does not publish its own
	// maximum.
	maxActors = 5
)

// exchange issues a token for another API to an API, on behalf of the user or system
// whose token it has received (RFC 8693).
func (s *Server) exchange(form url.Values, client *Client, assertion jose.Object, proof *dpop.Proof) (map[string]any, *refusal) {
	if form.Get("subject_token_type") != tokenTypeAccessToken {
		return nil, invalidRequest("subject_token_type is not " + tokenTypeAccessToken)
	}
	if requested := form.Get("requested_token_type"); requested != "" && requested != tokenTypeAccessToken {
		return nil, invalidRequest("requested_token_type is not " + tokenTypeAccessToken)
	}
	subject, refused := s.checkSubjectToken(form.Get("subject_token"), client)
	if refused != nil {
		return nil, refused
	}
	if form.Get("scope") == "" {
		return nil, invalidScope("scope is missing")
	}
	scopes, refused := client.systemScopes(form.Get("scope"))
	if refused != nil {
		return nil, refused
	}
	audiences, refused := audiencesOf(scopes, form["resource"])
	if refused != nil {
		return nil, refused
	}
	details, refused := s.assertedDetails(client, assertion)
	if refused != nil {
		return nil, refused
	}
	response, refused := s.issue(&issuance{
		client: client, proof: proof, scopes: scopes, audiences: audiences,
		more: []mint.TokenOption{s.actingFor(subject, client, details)},
	})
	if refused != nil {
		return nil, refused
	}
	response["issued_token_type"] = tokenTypeAccessToken
	return response, nil
}

func (s *Server) checkSubjectToken(token string, actor *Client) (jose.Object, *refusal) {
	subject, problem := s.ownAccessToken(token)
	if problem != "" {
		return jose.Object{}, invalidRequest("subject_token " + problem)
	}
	if !s.demands(rule.Actor) {
		return subject, nil
	}
	if !slices.ContainsFunc(claim.Texts(subject.Get("aud")), func(audience string) bool { return slices.Contains(actor.APIs, audience) }) {
		return jose.Object{}, invalidRequest("subject_token is for another API than those of the actor")
	}
	id, _ := subject.Get("client_id").Text()
	if from := s.client(id); from == nil || !slices.Contains(from.Actors, actor.ID) {
		return jose.Object{}, invalidRequest("the subject's client does not permit this actor")
	}
	depth := 1
	for act, ok := subject.Get("act").Object(); ok; act, ok = act.Get("act").Object() {
		depth++
	}
	if depth > maxActors {
		return jose.Object{}, invalidRequest(fmt.Sprintf("the token has been exchanged too often: at most %d times", maxActors))
	}
	return subject, nil
}

// actingFor copies the claims about the user and the organisation from the subject's
// token, and adds the actor as the newest in the chain.
func (s *Server) actingFor(subject jose.Object, actor *Client, details map[string]any) mint.TokenOption {
	return mint.Claims(func(claims map[string]any) {
		act := map[string]any{"iss": s.issuer, "client_id": actor.ID, claim.Parent: actor.ParentOrganization}
		for _, name := range []string{claim.Parent, claim.Child} {
			if value, named := details[name].(string); named {
				act[name] = value
			}
		}
		if before := subject.Get("act"); !before.Absent() {
			act["act"] = json.RawMessage(before.Raw())
		}
		for name := range claims { // the claims about the actor
			if strings.HasPrefix(name, "helseid://") {
				delete(claims, name)
			}
		}
		for _, name := range subject.Names() {
			if strings.HasPrefix(name, "helseid://") || slices.Contains([]string{"sub", "idp", "amr", "auth_time"}, name) {
				claims[name] = json.RawMessage(subject.Get(name).Raw())
			}
		}
		if subject.Get(claim.OriginalClient).Absent() {
			claims[claim.OriginalClient] = json.RawMessage(subject.Get("client_id").Raw())
		}
		claims["act"] = act
	})
}
