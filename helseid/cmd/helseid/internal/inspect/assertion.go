package inspect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/claims"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
)

const (
	maxAssertion = 64 << 10

	// clockTolerance is that of HelseID's samples, in seconds.
	clockTolerance = 5
)

// inspectAssertion judges a client assertion or a request object. HelseID alone validates
// them, so the rules are here: those of RFC 7523 section 3 and HelseID's own, as
// helseidtest has them. The signature is by the client's key, which is not in it.
func (q questions) inspectAssertion(kind kind, jwt string) (*report, error) {
	r := &report{kind: kind}
	token := r.parse("assertion", jwt, maxAssertion)
	if token == nil {
		return r, nil
	}
	a := &assertionCheck{r, token, q.now.of(token.claims).Unix()}
	a.header()
	a.parties(q)
	a.times()
	if kind == kindAssertion {
		a.details()
	} else {
		a.requestDetails()
	}
	r.unchecked("assertion_signature", "it is by the client's key, which is not in it: HelseID knows it by the kid")
	r.hintTime(q, token, "assertion_expired")
	r.hintOrigin(token)
	return r, nil
}

type assertionCheck struct {
	*report
	*parsed
	now int64
}

func (a *assertionCheck) header() {
	a.keeps("assertion_typ", "assertion_alg")
	if typ, _ := a.parsed.header.Get("typ").Text(); typ != "client-authentication+jwt" {
		a.breaks("assertion_typ", "the header typ must be client-authentication+jwt ("+textOf(a.parsed.header, "typ")+")")
	}
	if algorithm, _ := a.parsed.header.Get("alg").Text(); !isAlgorithm(algorithm) {
		a.breaks("assertion_alg", "HelseID permits RS, PS and ES with 256, 384 and 512 ("+textOf(a.parsed.header, "alg")+")")
	}
	kid, _ := a.parsed.header.Get("kid").Text()
	if kid == "" {
		a.hint("it has no kid: HelseID has to try the client's keys")
		return
	}
	a.hint("it is signed with the key %s: that must be registered, and not have expired (helseid key list)", named(kid))
}

// parties judges who it is from and for.
func (a *assertionCheck) parties(q questions) {
	client, _ := a.claims.Get("iss").Text()
	a.keeps("assertion_issuer")
	if client == "" {
		a.breaks("assertion_issuer", "iss must be the client id ("+textOf(a.claims, "iss")+")")
	}
	if q.audience != "" && client != q.audience {
		a.breaks("assertion_issuer", "iss must be the client id "+named(q.audience)+" ("+textOf(a.claims, "iss")+")")
	}
	rule, subject := "assertion_subject", "sub"
	if a.kind == kindRequestObject {
		rule, subject = "assertion_client_id", "client_id"
	}
	a.keeps(rule)
	if value, _ := a.claims.Get(subject).Text(); value == "" || value != client {
		a.breaks(rule, subject+" must be the client id, as iss is ("+textOf(a.claims, subject)+")")
	}
	a.audience(q.issuer)
	a.keeps("assertion_jti")
	if id, _ := a.claims.Get("jti").Text(); id == "" {
		a.breaks("assertion_jti", "jti must be there, and another one each time")
	}
}

func (a *assertionCheck) audience(issuer string) {
	a.keeps("assertion_audience")
	audience, ok := a.claims.Get("aud").Text()
	detail := textOf(a.claims, "aud")
	switch {
	case !ok:
		a.breaks("assertion_audience", "aud must be HelseID's issuer as one string ("+detail+")")
	case strings.Contains(audience, "/connect/"):
		a.breaks("assertion_audience", "aud must be HelseID's issuer, and not the address of an endpoint ("+detail+")")
	case issuer != "" && audience != issuer:
		a.breaks("assertion_audience", "aud must be the issuer "+named(issuer)+" ("+detail+")")
	case audience != metadata.NormalIssuer(audience):
		a.breaks("assertion_audience", "aud must be HelseID's issuer, without a slash at its end ("+detail+")")
	case metadata.CheckIssuer(audience) != nil:
		a.breaks("assertion_audience", "aud must be HelseID's issuer: it "+metadata.CheckIssuer(audience).Error())
	}
}

// times judges the lifetime. All comparisons are in whole seconds.
func (a *assertionCheck) times() {
	a.keeps("assertion_times", "assertion_lifetime", "assertion_expired", "assertion_not_yet_valid")
	start, started := a.start()
	exp, ok := a.claims.Get("exp").Seconds()
	now := time.Unix(a.now, 0)
	if !ok {
		a.breaks("assertion_times", when(a.claims, "exp", now))
	}
	most := int64(clientassertion.MaxLifetime / time.Second)
	switch {
	case ok && started && exp-start > most:
		a.breaks("assertion_lifetime", fmt.Sprintf("it lives %d seconds, and HelseID permits %d", exp-start, most))
	case ok && exp-a.now > most+clockTolerance:
		a.breaks("assertion_lifetime", "it lives longer than 60 seconds from now: "+when(a.claims, "exp", now))
	}
	if ok && a.now >= exp+clockTolerance {
		a.breaks("assertion_expired", when(a.claims, "exp", now))
	}
	if a.kind == kindAssertion && started && start-a.now > clockTolerance {
		a.breaks("assertion_not_yet_valid", "check the clock: "+when(a.claims, "iat", now))
	}
	value := a.claims.Get("nbf")
	nbf, isNumber := value.Seconds()
	switch {
	case value.Absent():
	case !isNumber:
		a.breaks("assertion_times", "nbf is no number")
	case nbf-a.now > clockTolerance:
		a.breaks("assertion_not_yet_valid", "check the clock: "+when(a.claims, "nbf", now))
	}
}

// start is when the lifetime begins: iat of an assertion, nbf of a request object.
func (a *assertionCheck) start() (start int64, ok bool) {
	if a.kind == kindRequestObject {
		if start, ok = a.claims.Get("nbf").Seconds(); !ok {
			a.breaks("assertion_times", when(a.claims, "nbf", time.Unix(a.now, 0)))
		}
		return start, ok
	}
	if start, ok = a.claims.Get("iat").Seconds(); ok {
		return start, true
	}
	text, _ := a.claims.Get("iat").Text()
	start, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.breaks("assertion_times", when(a.claims, "iat", time.Unix(a.now, 0)))
		return 0, false
	}
	a.hint("iat is a string: HelseID takes it, but it should be a number (RFC 7519)")
	return start, true
}

// details judges the structured details of an assertion (requirement FK5).
func (a *assertionCheck) details() {
	a.keeps("assertion_details")
	current, older := a.claims.Get("assertion_details"), a.claims.Get("authorization_details")
	if a.claims.Has("assertion_details") && a.claims.Has("authorization_details") {
		a.breaks("assertion_details", "assertion_details and authorization_details exclude each other")
	}
	if current.Absent() {
		current = older
	}
	a.detailList(current)
}

func (a *assertionCheck) requestDetails() {
	a.keeps("assertion_details")
	value := a.claims.Get("authorization_details")
	if value.Absent() {
		a.breaks("assertion_details", "authorization_details is missing, which a request object is there for")
	}
	if a.claims.Has("assertion_details") {
		a.breaks("assertion_details", "assertion_details belongs in client assertions: a request object has authorization_details")
	}
	a.detailList(value)
}

func (a *assertionCheck) detailList(value jose.Value) {
	if value.Absent() {
		return
	}
	list := []jose.Value{value}
	if _, ok := value.Object(); !ok {
		if list, ok = value.Array(); !ok || len(list) == 0 {
			a.breaks("assertion_details", "the details must be an object, or a list of some")
			return
		}
	}
	var seen []string
	for _, value := range list {
		detail, err := clientassertion.ParseDetail([]byte(value.Raw()))
		if err != nil {
			a.breaks("assertion_details", err.Error())
			continue
		}
		if slices.Contains(seen, detail.Type()) {
			a.breaks("assertion_details", "the type "+named(detail.Type())+" is repeated")
		}
		seen = append(seen, detail.Type())
		object, _ := value.Object()
		switch detail.Type() {
		case claims.OrganizationType:
			a.organization(object)
		case "nhn:sfm:journal-id":
			journal, _ := object.Get("value").Object()
			id, _ := journal.Get("journal_id").Text()
			if _, err := clientassertion.JournalIDDetail(id); err != nil {
				a.breaks("assertion_details", err.Error())
			}
		case claims.AttestType:
		default:
			a.breaks("assertion_details", "HelseID knows no detail of type "+named(detail.Type())+" (HID-1007)")
		}
	}
}

// organization judges the form of a detail by writing it once more.
func (a *assertionCheck) organization(detail jose.Object) {
	object := detail
	for _, name := range []string{"practitioner_role", "organization", "identifier"} {
		object, _ = object.Get(name).Object()
	}
	if kind, _ := object.Get("type").Text(); kind != "ENH" {
		a.breaks("assertion_details", "the type of the organisation's identifier must be ENH")
	}
	system, _ := object.Get("system").Text()
	value, _ := object.Get("value").Text()
	var (
		organization clientassertion.Organization
		tenancy      = identity.SingleTenant
	)
	switch system {
	case "urn:oid:1.0.6523":
		tenancy = identity.MultiTenant
		numbers, ok := strings.CutPrefix(value, "NO:ORGNR:")
		if !ok {
			a.breaks("assertion_details", "the value of a multi-tenant client's organisation must start with NO:ORGNR:")
			return
		}
		parent, child, _ := strings.Cut(numbers, ":")
		organization.Parent, organization.Child = identity.OrganizationNumber(parent), identity.OrganizationNumber(child)
	case "urn:oid:2.16.578.1.12.4.1.4.101", "urn:oid:2.16.578.1.12.4.1.2.101":
		organization.Child = identity.OrganizationNumber(value)
	default:
		a.breaks("assertion_details", "the system of the organisation's identifier is not one that HelseID knows ("+textOf(object, "system")+")")
		return
	}
	if _, err := clientassertion.OrganizationDetail(organization, tenancy, clientassertion.Variants{}); err != nil {
		a.breaks("assertion_details", strings.ReplaceAll(err.Error(), "\n", ", "))
	}
}
