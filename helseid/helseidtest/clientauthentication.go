package helseidtest

import (
	"strconv"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
)

const (
	maxAssertion         = 64 << 10
	maxAssertionLifetime = 60
	clockTolerance       = 5 // seconds, as generous as HelseID's samples
)

// clientNotKnown is the description for a wrong client id and for a wrong key alike, since
// HelseID does not tell which of them it is.
const clientNotKnown = "unknown client, or the client assertion is not signed with a registered key of the client"

// checkAssertion authenticates a client (RFC 7523 section 3, and HelseID's stricter
// rules). The assertion counts as used whatever the response is, also if the response
// requires a nonce.
func (s *Server) checkAssertion(clientID, assertion string) (*Client, jose.Object, *refusal) {
	compact, err := jose.ParseCompact(assertion, maxAssertion)
	if err != nil {
		return nil, jose.Object{}, invalidClient("the client assertion is not a JWS in compact form")
	}
	if typ, _ := compact.Header.Get("typ").Text(); typ != "client-authentication+jwt" {
		return nil, jose.Object{}, invalidClient("the client assertion's typ is not client-authentication+jwt")
	}
	client := s.client(clientID)
	if client == nil {
		return nil, jose.Object{}, invalidClient(clientNotKnown)
	}
	if !client.verifies(compact, s.Now()) {
		return nil, jose.Object{}, invalidClient(clientNotKnown)
	}
	claims, err := jose.ParseObject(compact.Payload)
	if err != nil {
		return nil, jose.Object{}, invalidClient("the client assertion's claims are not strict JSON")
	}
	for _, name := range []string{"iss", "sub"} {
		if value, _ := claims.Get(name).Text(); value != clientID {
			return nil, jose.Object{}, invalidClient("the client assertion's " + name + " is not the client id")
		}
	}
	if audience, _ := claims.Get("aud").Text(); audience != s.issuer {
		return nil, jose.Object{}, invalidClient("the client assertion's aud is not the issuer as one string")
	}
	if claims.Has("authorization_details") && claims.Has("assertion_details") {
		return nil, jose.Object{}, invalidRequest("assertion_details and authorization_details exclude each other")
	}
	expiry, refused := s.checkAssertionTimes(claims)
	if refused != nil {
		return nil, jose.Object{}, refused
	}
	id, _ := claims.Get("jti").Text()
	if id == "" {
		return nil, jose.Object{}, invalidClient("the client assertion has no jti")
	}
	if !s.firstUse("assertion "+clientID+" "+id, expiry) {
		return nil, jose.Object{}, invalidClient("the client assertion has been used before")
	}
	return client, claims, nil
}

// verifies tries the key that the header names, or the only key.
func (c *Client) verifies(compact *jose.Compact, now time.Time) bool {
	kid, hasKid := compact.Header.Get("kid").Text()
	for _, key := range c.keys {
		if hasKid && kid != key.ID || !key.Works(now) {
			continue
		}
		if compact.Verify(key.Public) == nil {
			return true
		}
	}
	return false
}

func (s *Server) checkAssertionTimes(claims jose.Object) (time.Time, *refusal) {
	now := s.Now().Unix()
	iat, ok := claims.Get("iat").Seconds()
	if !ok {
		// HelseID accepts the string that several of its own samples send.
		text, _ := claims.Get("iat").Text()
		var err error
		if iat, err = strconv.ParseInt(text, 10, 64); err != nil {
			return time.Time{}, invalidClient("the client assertion's iat is not a number")
		}
	}
	exp, ok := claims.Get("exp").Seconds()
	if !ok {
		return time.Time{}, invalidClient("the client assertion's exp is not a number")
	}
	if exp-iat > maxAssertionLifetime || exp-now > maxAssertionLifetime+clockTolerance {
		return time.Time{}, invalidClient("the client assertion lives longer than 60 seconds")
	}
	if now >= exp+clockTolerance {
		return time.Time{}, invalidClient("the client assertion has expired")
	}
	if iat-now > clockTolerance {
		return time.Time{}, invalidClient("the client assertion is dated in the future")
	}
	if value := claims.Get("nbf"); !value.Absent() {
		if nbf, ok := value.Seconds(); !ok || nbf-now > clockTolerance {
			return time.Time{}, invalidClient("the client assertion is not valid yet")
		}
	}
	return time.Unix(exp+clockTolerance, 0), nil
}

// firstUse remembers an identifier until it expires.
func (s *Server) firstUse(id string, expiry time.Time) bool {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, used := s.usedJTI[id]; used && now.Before(until) {
		return false
	}
	if len(s.usedJTI) > 10_000 {
		for id, until := range s.usedJTI {
			if now.After(until) {
				delete(s.usedJTI, id)
			}
		}
	}
	s.usedJTI[id] = expiry
	return true
}
