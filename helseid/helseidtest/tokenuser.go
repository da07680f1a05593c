package helseidtest

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// ForUser makes the token that of one of Server.Users, who has just logged in at
// the user's own level, and of nobody else. Server.Token panics if there is none with this number.
func ForUser(personalIdentityNumber string) TokenOption {
	return func(s *tokenSpec) {
		user, known := s.server.userByNumber(personalIdentityNumber)
		if !known {
			s.fail(fmt.Errorf("ForUser: add the user with Server.AddUser first"))
			return
		}
		login := login{user, user.SecurityLevel, user.IdentityProvider, []string{"pwd"}, s.server.Now(), defaultSessionID}
		WithoutUserClaims()(s)
		maps.Copy(s.claims, login.claims())
		maps.Copy(s.claims, login.identity())
	}
}

// Subject sets sub, the user's pseudonym.
func Subject(pseudonym string) TokenOption { return Claim("sub", pseudonym) }

// PersonalIdentityNumber sets the user's national identity number. Use synthetic
// ones only.
func PersonalIdentityNumber(number string) TokenOption { return Claim(claimPID, number) }

// Pseudonym sets the older twin of sub.
func Pseudonym(pseudonym string) TokenOption { return Claim(claimPIDPseudonym, pseudonym) }

// Name sets the user's names. HelseID writes the middle name also if it is
// empty.
func Name(given, middle, family string) TokenOption {
	return claims(map[string]any{
		"name":       strings.Join(strings.Fields(given+" "+middle+" "+family), " "),
		"given_name": given, "middle_name": middle, "family_name": family,
	})
}

// IdentityProvider sets idp: where the user logged in.
func IdentityProvider(name string) TokenOption { return Claim("idp", name) }

// AuthenticationMethods sets amr: how the user authenticated.
func AuthenticationMethods(methods ...string) TokenOption { return Claim("amr", methods) }

// AuthenticatedAt sets auth_time.
func AuthenticatedAt(at time.Time) TokenOption { return Claim("auth_time", at.Unix()) }

// Network sets the network that the user came from: internett or helsenett.
func Network(name string) TokenOption { return Claim(claimNetwork, name) }

// SessionID sets sid.
func SessionID(id string) TokenOption { return Claim("sid", id) }
