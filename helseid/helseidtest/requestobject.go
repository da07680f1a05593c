package helseidtest

import (
	"net/http"
	"net/url"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/internal/jose"
)

// pushRequestObject reads a signed request object (RFC 9101) with details for the whole
// session.
func (s *Server) pushRequestObject(pushed *authorization, form url.Values) *refusal {
	if !form.Has("request") {
		return nil
	}
	compact, err := jose.ParseCompact(form.Get("request"), maxAssertion)
	if err != nil {
		return invalidObject("is not a JWS in compact form")
	}
	if !pushed.client.verifies(compact, s.Now()) {
		return invalidObject("is not signed with a registered key")
	}
	claims, err := jose.ParseObject(compact.Payload)
	if err != nil {
		return invalidObject("has claims that are not strict JSON")
	}
	if s.demands(rule.RequestObject) {
		if refused := s.checkRequestObject(pushed.client, compact, claims); refused != nil {
			return refused
		}
	}
	list, refused := detailList(claims.Get("authorization_details"))
	if refused != nil {
		return refused
	}
	if len(list) == 0 {
		return nil // possible only if the rule is relaxed
	}
	pushed.details, refused = s.details(pushed.client, list)
	return refused
}

func invalidObject(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request_object", "the request object " + description}
}

func (s *Server) checkRequestObject(client *Client, compact *jose.Compact, claims jose.Object) *refusal {
	if typ, _ := compact.Header.Get("typ").Text(); typ != "client-authentication+jwt" {
		return invalidObject("has another typ than client-authentication+jwt")
	}
	for name, want := range map[string]string{"iss": client.ID, "client_id": client.ID, "aud": s.issuer} {
		if value, _ := claims.Get(name).Text(); value != want {
			return invalidObject("has a wrong " + name)
		}
	}
	now := s.Now().Unix()
	exp, ok := claims.Get("exp").Seconds()
	switch {
	case !ok:
		return invalidObject("has no exp")
	case exp-now > maxAssertionLifetime+clockTolerance:
		return invalidObject("lives longer than 60 seconds")
	case now >= exp+clockTolerance:
		return invalidObject("has expired")
	}
	if nbf, ok := claims.Get("nbf").Seconds(); !ok || nbf-now > clockTolerance || exp-nbf > maxAssertionLifetime {
		return invalidObject("has no nbf within 60 seconds before its exp, or is not valid yet")
	}
	if claims.Get("authorization_details").Absent() {
		return invalidObject("has no authorization_details")
	}
	id, _ := claims.Get("jti").Text()
	if id == "" {
		return invalidObject("has no jti")
	}
	if !s.firstUse("request object "+client.ID+" "+id, time.Unix(exp+clockTolerance, 0)) {
		return invalidObject("has been used before")
	}
	return nil
}
