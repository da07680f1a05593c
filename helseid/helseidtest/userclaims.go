package helseidtest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/helseid/identity"
)

// claims returns the claims of every login.
func (l login) claims() map[string]any {
	return map[string]any{
		"sub": l.user.Subject, "sid": l.sid, "idp": l.idp, "amr": l.amr, "auth_time": l.authTime.Unix(),
	}
}

// identity returns all claims about the user.
func (l login) identity() map[string]any {
	identity := map[string]any{
		"name": l.user.name(), "given_name": l.user.GivenName, "middle_name": l.user.MiddleName, "family_name": l.user.FamilyName,
		claim.PID:            l.user.PersonalIdentityNumber,
		claim.PIDPseudonym:   l.user.Subject,
		claim.SecurityLevel:  strconv.Itoa(l.level),
		claim.AssuranceLevel: cmp.Or(l.user.AssuranceLevel, map[int]string{2: "low", 3: "substantial", 4: "high"}[l.level]),
		claim.Network:        l.user.Network,
	}
	if l.user.HPRNumber != "" {
		identity[claim.HPRNumber] = l.user.HPRNumber
	}
	return identity
}

// allClaims returns both.
func (l login) allClaims() map[string]any {
	claims := l.claims()
	maps.Copy(claims, l.identity())
	return claims
}

// claimsForAPIs returns the claims that the owners of the audiences have chosen.
func (s *Server) claimsForAPIs(l login, audiences []string) map[string]any {
	claims := l.claims()
	identity := l.identity()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, audience := range audiences {
		api, registered := s.apis[audience]
		for name, value := range identity {
			if !registered || api.Claims == nil || slices.Contains(api.Claims, name) {
				claims[name] = value
			}
		}
	}
	return claims
}

var claimsOfScopes = map[string][]string{
	"openid":         {},
	"offline_access": {},
	"profile":        {"name", "given_name", "middle_name", "family_name"},
	"helseid://scopes/identity/all": {
		"name", "given_name", "middle_name", "family_name",
		claim.PID, claim.PIDPseudonym, claim.SecurityLevel, claim.AssuranceLevel, claim.Network,
	},
	"helseid://scopes/identity/pid":             {claim.PID},
	"helseid://scopes/identity/pid_pseudonym":   {claim.PIDPseudonym},
	"helseid://scopes/identity/security_level":  {claim.SecurityLevel},
	"helseid://scopes/identity/assurance_level": {claim.AssuranceLevel},
	"helseid://scopes/identity/network":         {claim.Network},
	scopeHPRNumber:                              {claim.HPRNumber},
	"helseid://scopes/client/info":              {},
	"helseid://scopes/client/client_name":       {},
}

const scopeHPRNumber = "helseid://scopes/hpr/hpr_number"

// isKnownIdentityScope reports whether every client may request the scope.
func isKnownIdentityScope(scope string) bool {
	_, known := claimsOfScopes[scope]
	return known
}

// claimsForScopes returns the claims that the client's scopes grant.
func claimsForScopes(l login, scopes []string) map[string]any {
	identity := l.identity()
	maps.DeleteFunc(identity, func(name string, _ any) bool {
		return !slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(claimsOfScopes[scope], name) })
	})
	return identity
}

// hprDetails returns the claim that only userinfo has.
func (u User) hprDetails() map[string]any {
	code := func(code identity.HPRCode) map[string]any {
		return map[string]any{"value": code.Value, "description": code.Description}
	}
	codes := func(list []identity.HPRCode) []any {
		written := []any{}
		for _, one := range list {
			written = append(written, code(one))
		}
		return written
	}
	approvals := []any{}
	for _, approval := range u.HPRApprovals {
		approvals = append(approvals, map[string]any{
			"profession": approval.Profession, "authorization": code(approval.Authorization),
			"requisition_rights": codes(approval.RequisitionRights), "specialities": codes(approval.Specialities),
		})
	}
	details := map[string]any{"approvals": approvals, "hpr_number": nil, "no_hpr_number": u.HPRNumber == ""}
	if u.HPRNumber != "" {
		details["hpr_number"] = json.Number(u.HPRNumber)
	}
	return details
}
