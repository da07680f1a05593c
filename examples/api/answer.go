package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// callerJSON is what the API returns about its caller.
type callerJSON struct {
	ClientID     string            `json:"client_id"`
	Scopes       []string          `json:"scopes"`
	Audience     []string          `json:"audience"`
	User         *userJSON         `json:"user"`
	Organization *organizationJSON `json:"organization"`
	Tenancy      identity.Tenancy  `json:"tenancy"`
	JournalID    string            `json:"journal_id,omitempty"`
	Attest       bool              `json:"attest"`
}

type userJSON struct {
	Subject                string                          `json:"subject"`
	PersonalIdentityNumber identity.PersonalIdentityNumber `json:"personal_identity_number"` // printed as a mask
	Name                   string                          `json:"name"`
	HPRNumber              identity.HPRNumber              `json:"hpr_number"`
	SecurityLevel          identity.SecurityLevel          `json:"security_level"`
	AssuranceLevel         identity.AssuranceLevel         `json:"assurance_level"`
	Network                string                          `json:"network"`
	IdentityProvider       string                          `json:"identity_provider"`
	AuthenticatedAt        time.Time                       `json:"authenticated_at"`
}

type organizationJSON struct {
	Parent   identity.OrganizationNumber `json:"parent"`
	Child    identity.OrganizationNumber `json:"child"`
	Supplier identity.OrganizationNumber `json:"supplier"`
}

// answer tells callers what their tokens say about them.
func answer(w http.ResponseWriter, r *http.Request) {
	claims := middleware.Claims(r.Context())
	body := callerJSON{
		ClientID:  claims.ClientID,
		Scopes:    claims.Scopes,
		Audience:  claims.Audience,
		Tenancy:   claims.Tenancy,
		JournalID: claims.JournalID,
		Attest:    claims.Attest != nil,
	}
	if user := claims.User; user != nil {
		body.User = &userJSON{
			Subject:                user.Subject,
			PersonalIdentityNumber: user.PersonalIdentityNumber,
			Name:                   user.Name,
			HPRNumber:              user.HPRNumber,
			SecurityLevel:          user.SecurityLevel,
			AssuranceLevel:         user.AssuranceLevel,
			Network:                user.Network,
			IdentityProvider:       user.IdentityProvider,
			AuthenticatedAt:        user.AuthenticatedAt,
		}
	}
	if !claims.Organization.IsZero() {
		organization := organizationJSON(claims.Organization)
		body.Organization = &organization
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
