package tokenvalidation

import (
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// Claim names, as HelseID writes them.
const (
	claimPID            = "helseid://claims/identity/pid"
	claimPIDPseudonym   = "helseid://claims/identity/pid_pseudonym"
	claimSecurityLevel  = "helseid://claims/identity/security_level"
	claimAssuranceLevel = "helseid://claims/identity/assurance_level"
	claimNetwork        = "helseid://claims/identity/network"
	claimHPRNumber      = "helseid://claims/hpr/hpr_number"
	claimClientName     = "helseid://claims/client/client_name"
	claimTenancy        = "helseid://claims/client/client_tenancy"
	claimParent         = "helseid://claims/client/claims/orgnr_parent"
	claimChild          = "helseid://claims/client/claims/orgnr_child"
	claimSupplier       = "helseid://claims/client/claims/orgnr_supplier"
	claimOnBehalfOf     = "helseid://claims/client/on_behalf_of"
	claimOriginalClient = "helseid://claims/client/original_client_id"
	claimJournalID      = "nhn:sfm:journal-id"
	claimSFMID          = "e-helse:sfm.api/client/claims/sfm-id"
	claimAttest         = "nhn:tillitsrammeverk:parameters"
)

// maxList is how many elements a list of texts may have: scopes, audiences,
// authentication methods. A client of HelseID's gets some dozens of scopes at most. A
// longer list is of a wrong type, since all of it is copied at each call.
const maxList = 256

// maxMalformed is how many claims Claims.Malformed names, before it says that there
// are others. It stands in each audit record of the token.
const maxMalformed = 16

// otherClaims is the last element of Claims.Malformed if there are more.
const otherClaims = "others"

// The values of the levels' claims, which are strings.
var (
	securityLevels = map[string]identity.SecurityLevel{
		"2": identity.SecurityLevel2, "3": identity.SecurityLevel3, "4": identity.SecurityLevel4,
	}
	assuranceLevels = map[string]identity.AssuranceLevel{
		"low": identity.AssuranceLow, "substantial": identity.AssuranceSubstantial, "high": identity.AssuranceHigh,
	}
)

// decoder reads typed claims and collects the names of those of a wrong type.
type decoder struct {
	object    jose.Object
	malformed []string
}

// decodeClaims reads everything that has no influence on whether the token is
// valid.
func decodeClaims(object jose.Object) *Claims {
	d := &decoder{object: object}
	claims := &Claims{
		Issuer:               d.text("iss"),
		Audience:             d.texts("aud"),
		ID:                   d.text("jti"),
		IssuedAt:             d.time("iat"),
		NotBefore:            d.time("nbf"),
		Expiry:               d.time("exp"),
		Scopes:               d.scopes(),
		ClientID:             d.text("client_id"),
		ClientName:           d.text(claimClientName),
		ClientAuthentication: d.text("client_amr"),
		Tenancy:              d.tenancy(),
		Organization:         d.organization(),
		Subject:              d.text("sub"),
		OriginalClientID:     d.text(claimOriginalClient),
		Actor:                d.actor(),
		JournalID:            d.text(claimJournalID),
		SFMID:                d.text(claimSFMID),
		Attest:               d.attest(),
		Confirmation:         confirmation(object),
		object:               func() jose.Object { return object },
	}
	claims.User = d.user(claims)
	claims.Malformed = d.malformed
	return claims
}

// wrong takes note of a claim.
func (d *decoder) wrong(name string) {
	switch n := len(d.malformed); {
	case n < maxMalformed:
		d.malformed = append(d.malformed, name)
	case n == maxMalformed:
		d.malformed = append(d.malformed, otherClaims)
	}
}

func (d *decoder) text(name string) string {
	value := d.object.Get(name)
	text, ok := value.Text()
	if !ok && !value.Absent() {
		d.wrong(name)
	}
	return text
}

// texts reads an array of strings, or a single string as an array of one.
func (d *decoder) texts(name string) []string {
	value := d.object.Get(name)
	if value.Absent() {
		return nil
	}
	texts, ok := value.Texts(maxList)
	if !ok {
		d.wrong(name)
		return nil
	}
	return texts
}

// scopes reads both forms that occur: an array, as HelseID writes it, and one
// string with spaces (RFC 9068 section 2.2.3).
func (d *decoder) scopes() []string {
	value := d.object.Get("scope")
	text, ok := value.Text()
	if !ok {
		return d.texts("scope")
	}
	scopes := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
	if len(scopes) > maxList {
		d.wrong("scope")
		return nil
	}
	return scopes
}

func (d *decoder) time(name string) time.Time {
	value := d.object.Get(name)
	if value.Absent() {
		return time.Time{}
	}
	seconds, ok := value.Seconds()
	if !ok {
		d.wrong(name)
		return time.Time{}
	}
	return unixTime(seconds)
}

// unixTime is in UTC, so that the same claims print alike on every machine, and
// printing them reads nothing of the process's own zone.
func unixTime(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func (d *decoder) tenancy() identity.Tenancy {
	switch tenancy := identity.Tenancy(d.text(claimTenancy)); tenancy {
	case "":
		return identity.SingleTenant
	case identity.NoTenancy, identity.SingleTenant, identity.MultiTenant:
		return tenancy
	}
	d.wrong(claimTenancy)
	return identity.NoTenancy
}

func (d *decoder) organization() identity.Organization {
	return identity.Organization{
		Parent:   d.organizationNumber(claimParent),
		Child:    d.organizationNumber(claimChild),
		Supplier: d.organizationNumber(claimSupplier),
	}
}

func (d *decoder) organizationNumber(name string) identity.OrganizationNumber {
	number := identity.OrganizationNumber(d.text(name))
	if number != "" && !number.Valid() {
		d.wrong(name)
		return ""
	}
	return number
}

// user finds out whether the token is a person's: it has an identity claim, or
// a subject that is not the client itself (RFC 9068 section 2.2: a client's
// token may name the client as its subject). An exchanged token has the subject of the
// first one, so that it may be the first client.
func (d *decoder) user(claims *Claims) *identity.User {
	user := &identity.User{
		PersonalIdentityNumber: d.personalIdentityNumber(),
		Pseudonym:              d.text(claimPIDPseudonym),
		HPRNumber:              d.hprNumber(),
		Name:                   d.text("name"),
		GivenName:              d.text("given_name"),
		MiddleName:             d.text("middle_name"),
		FamilyName:             d.text("family_name"),
		SecurityLevel:          level(d, claimSecurityLevel, securityLevels),
		AssuranceLevel:         level(d, claimAssuranceLevel, assuranceLevels),
		Network:                d.text(claimNetwork),
		IdentityProvider:       d.text("idp"),
		AuthenticationMethods:  d.texts("amr"),
		AuthenticatedAt:        d.time("auth_time"),
		SessionID:              d.text("sid"),
		OnBehalfOf:             d.organizationNumber(claimOnBehalfOf),
	}
	isClient := func(subject string) bool {
		return subject == "" || subject == claims.ClientID || subject == claims.OriginalClientID
	}
	if !isClient(claims.Subject) {
		user.Subject = claims.Subject
	}
	// A claim that is there makes a user even if it is of a wrong type: a system
	// must not be taken for one because something is amiss.
	for _, name := range []string{"sub", claimPID, claimPIDPseudonym, claimHPRNumber} {
		value := d.object.Get(name)
		text, isText := value.Text()
		if value.Absent() || isText && (text == "" || name == "sub" && isClient(text)) {
			continue
		}
		return user
	}
	return nil
}

func (d *decoder) personalIdentityNumber() identity.PersonalIdentityNumber {
	text := d.text(claimPID)
	number := identity.NewPersonalIdentityNumber(text)
	if text != "" && !number.Valid() {
		d.wrong(claimPID)
		return identity.PersonalIdentityNumber{}
	}
	return number
}

func (d *decoder) hprNumber() identity.HPRNumber {
	number := identity.HPRNumber(d.text(claimHPRNumber))
	if number != "" && !number.Valid() {
		d.wrong(claimHPRNumber)
		return ""
	}
	return number
}

func level[L ~int](d *decoder, name string, levels map[string]L) L {
	text := d.text(name)
	found, ok := levels[text]
	if !ok && text != "" {
		d.wrong(name)
	}
	return found
}

// maxActors bounds the chain of token exchanges. A token with a longer one is
// refused: whoever looks at the chain must see the whole of it.
const maxActors = 10

// tooManyActors reports that a chain of actors is longer than maxActors.
func tooManyActors(object jose.Object) bool {
	for range maxActors + 1 {
		next, ok := object.Get("act").Object()
		if !ok {
			return false
		}
		object = next
	}
	return true
}

func (d *decoder) actor() *Actor {
	value := d.object.Get("act")
	if value.Absent() {
		return nil
	}
	object, ok := value.Object()
	if !ok {
		d.wrong("act")
		return nil
	}
	return d.actorOf(object, 1)
}

func (d *decoder) actorOf(object jose.Object, depth int) *Actor {
	inner := &decoder{object: object}
	actor := &Actor{
		Issuer:       inner.text("iss"),
		ClientID:     inner.text("client_id"),
		Organization: inner.organization(),
	}
	value := object.Get("act")
	if next, ok := value.Object(); ok && depth < maxActors {
		actor.Actor = d.actorOf(next, depth+1)
	} else if !value.Absent() {
		d.wrong("act")
	}
	for _, name := range inner.malformed {
		d.wrong("act." + name)
	}
	return actor
}

// confirmation reads cnf (RFC 7800). A member other than jkt is a demand that
// nothing here can meet, so it makes the token unusable rather than being
// ignored.
func confirmation(object jose.Object) Confirmation {
	if !object.Has("cnf") {
		return Confirmation{}
	}
	found := Confirmation{Present: true, Unsupported: true}
	cnf, ok := object.Get("cnf").Object()
	if !ok {
		return found
	}
	jkt, ok := cnf.Get("jkt").Text()
	if ok && jkt != "" && len(cnf.Names()) == 1 {
		found.Thumbprint, found.Unsupported = jkt, false
	}
	return found
}
