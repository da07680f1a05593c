package mint

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
)

// The claims of [Clinician]. The person is synthetic: the national identity number has
// a month above 80, which no real person's has.
const (
	DefaultPersonalIdentityNumber = "06828399789"
	DefaultHPRNumber              = "565505933"
	DefaultSubject                = "0bq1hVF0yNRmqvCD6xLlwuYJ5vDOEgqUhpC8/xsm+mQ="
	DefaultSessionID              = "7C2F6E9F1D0A4B35"
)

// TestIdentityProvider is the identity provider of synthetic persons.
const TestIdentityProvider = "testidp-oidc"

// ForUser makes it the token of one of helseidtest.Server.Users, who has just
// logged in at the user's own level. It replaces the claims of any other user.
// helseidtest.Server.Token panics if no user has this number.
func ForUser(personalIdentityNumber string) TokenOption {
	return func(s *tokenSpec) {
		user, known := s.minter.User(personalIdentityNumber)
		if !known {
			s.fail(errors.New("ForUser: add the user with Server.AddUser first"))
			return
		}
		WithoutUserClaims()(s)
		maps.Copy(s.claims, user)
	}
}

// Clinician makes it the token of a logged-in clinician: a synthetic person with an HPR
// number, at security level 4.
func Clinician() TokenOption {
	return func(s *tokenSpec) {
		login := s.claims["iat"]
		maps.Copy(s.claims, map[string]any{
			"sub":                DefaultSubject,
			"sid":                DefaultSessionID,
			"idp":                TestIdentityProvider,
			"amr":                []string{"pwd"},
			"auth_time":          login,
			"name":               "KVART GREVLING",
			"given_name":         "KVART",
			"middle_name":        "",
			"family_name":        "GREVLING",
			claim.PID:            DefaultPersonalIdentityNumber,
			claim.HPRNumber:      DefaultHPRNumber,
			claim.SecurityLevel:  "4",
			claim.AssuranceLevel: "high",
			claim.Network:        "internett",
		})
	}
}

// Subject sets sub, the user's pseudonym.
func Subject(pseudonym string) TokenOption { return Claim("sub", pseudonym) }

// PersonalIdentityNumber sets the user's national identity number. Use synthetic
// ones only.
func PersonalIdentityNumber(number string) TokenOption { return Claim(claim.PID, number) }

// Pseudonym sets pid_pseudonym, the older form of sub.
func Pseudonym(pseudonym string) TokenOption { return Claim(claim.PIDPseudonym, pseudonym) }

// Name sets the user's names. HelseID includes the middle name even if it is empty.
func Name(given, middle, family string) TokenOption {
	return claims(map[string]any{
		"name":       strings.Join(strings.Fields(given+" "+middle+" "+family), " "),
		"given_name": given, "middle_name": middle, "family_name": family,
	})
}

// IdentityProvider sets idp, the provider at which the user logged in.
func IdentityProvider(name string) TokenOption { return Claim("idp", name) }

// AuthenticationMethods sets amr: how the user authenticated.
func AuthenticationMethods(methods ...string) TokenOption { return Claim("amr", methods) }

// AuthenticatedAt sets auth_time. An API that requires a more recent login refuses it:
// authentication_age.
func AuthenticatedAt(at time.Time) TokenOption { return Claim("auth_time", at.Unix()) }

// Network sets the network that the user came from: internett or helsenett.
func Network(name string) TokenOption { return Claim(claim.Network, name) }

// SessionID sets sid.
func SessionID(id string) TokenOption { return Claim("sid", id) }

// SecurityLevel sets the user's security level, 2 to 4. An API that requires a higher one
// refuses it: security_level.
func SecurityLevel(level int) TokenOption { return Claim(claim.SecurityLevel, strconv.Itoa(level)) }

// AssuranceLevel sets the user's assurance level: low, substantial or high. An API that
// requires a higher one refuses it: assurance_level.
func AssuranceLevel(level string) TokenOption { return Claim(claim.AssuranceLevel, level) }

// HPRNumber sets the user's number in the register of health personnel. An empty number
// removes the claim, as for a user who is not in the register. An API that requires one
// refuses it: hpr_number.
func HPRNumber(number string) TokenOption {
	if number == "" {
		return Claim(claim.HPRNumber, nil)
	}
	return Claim(claim.HPRNumber, number)
}
