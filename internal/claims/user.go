package claims

import "github.com/helseid-go/sdk/helseid/identity"

// OriginalClientID is the claim of an exchanged token that names the first client.
const OriginalClientID = "helseid://claims/client/original_client_id"

// The names of claims about users, as HelseID writes them.
const (
	claimPID            = "helseid://claims/identity/pid"
	claimPIDPseudonym   = "helseid://claims/identity/pid_pseudonym"
	claimSecurityLevel  = "helseid://claims/identity/security_level"
	claimAssuranceLevel = "helseid://claims/identity/assurance_level"
	claimNetwork        = "helseid://claims/identity/network"
	claimHPRNumber      = "helseid://claims/hpr/hpr_number"
	claimOnBehalfOf     = "helseid://claims/client/on_behalf_of"
)

// The values of the levels' claims, which are strings.
var (
	securityLevels = map[string]identity.SecurityLevel{
		"2": identity.SecurityLevel2, "3": identity.SecurityLevel3, "4": identity.SecurityLevel4,
	}
	assuranceLevels = map[string]identity.AssuranceLevel{
		"low": identity.AssuranceLow, "substantial": identity.AssuranceSubstantial, "high": identity.AssuranceHigh,
	}
)

// Parties are those that a token's sub may name, as the token says.
type Parties struct {
	Subject          string // sub
	ClientID         string
	OriginalClientID string
}

// isClient reports that a subject is no person. RFC 9068 section 2.2 lets a client's
// token name the client as its subject. An exchanged token has the subject of the
// first one, which may be the first client.
func (p *Parties) isClient(subject string) bool {
	return subject == "" || subject == p.ClientID || subject == p.OriginalClientID
}

// User returns the person that a token is about, or nil if it is about none: it has
// no claim about a person, and no subject but a client.
func (d *Decoder) User(parties Parties) *identity.User {
	user := &identity.User{
		PersonalIdentityNumber: d.personalIdentityNumber(),
		Pseudonym:              d.Text(claimPIDPseudonym),
		HPRNumber:              d.hprNumber(),
		Name:                   d.Text("name"),
		GivenName:              d.Text("given_name"),
		MiddleName:             d.Text("middle_name"),
		FamilyName:             d.Text("family_name"),
		SecurityLevel:          level(d, claimSecurityLevel, securityLevels),
		AssuranceLevel:         level(d, claimAssuranceLevel, assuranceLevels),
		Network:                d.Text(claimNetwork),
		IdentityProvider:       d.Text("idp"),
		AuthenticationMethods:  d.Texts("amr"),
		AuthenticatedAt:        d.Time("auth_time"),
		SessionID:              d.Text("sid"),
		OnBehalfOf:             d.OrganizationNumber(claimOnBehalfOf),
	}
	if !parties.isClient(parties.Subject) {
		user.Subject = parties.Subject
	}
	// A claim that is there makes a user even if it is of a wrong type: a mistake in
	// a user's token must not make it a system's.
	for _, name := range []string{"sub", claimPID, claimPIDPseudonym, claimHPRNumber} {
		value := d.Object.Get(name)
		text, isText := value.Text()
		if value.Absent() || isText && (text == "" || name == "sub" && parties.isClient(text)) {
			continue
		}
		return user
	}
	return nil
}

func (d *Decoder) personalIdentityNumber() identity.PersonalIdentityNumber {
	text := d.Text(claimPID)
	number := identity.NewPersonalIdentityNumber(text)
	if text != "" && !number.Valid() {
		d.Wrong(claimPID)
		return identity.PersonalIdentityNumber{}
	}
	return number
}

func (d *Decoder) hprNumber() identity.HPRNumber {
	number := identity.HPRNumber(d.Text(claimHPRNumber))
	if number != "" && !number.Valid() {
		d.Wrong(claimHPRNumber)
		return ""
	}
	return number
}

func level[L ~int](d *Decoder, name string, levels map[string]L) L {
	text := d.Text(name)
	found, ok := levels[text]
	if !ok && text != "" {
		d.Wrong(name)
	}
	return found
}
