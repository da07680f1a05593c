package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/redact"
)

// The claims of a token that name organisations.
const (
	claimParent   = "helseid://claims/client/claims/orgnr_parent"
	claimChild    = "helseid://claims/client/claims/orgnr_child"
	claimSupplier = "helseid://claims/client/claims/orgnr_supplier"
)

// number is an organisation number and the flag that it comes from.
type number struct {
	flag  string
	value identity.OrganizationNumber
}

func (s *state) numbers() []number {
	asked := s.asked().Organization
	var given []number
	for _, n := range []number{{"-parent", asked.Parent}, {"-child", asked.Child}} {
		if n.value != "" {
			given = append(given, n)
		}
	}
	return given
}

// usableOrganization is the organisation that is asked for, or none if a number of it
// cannot be sent.
func (s *state) usableOrganization() clientassertion.Organization {
	for _, n := range s.numbers() {
		if s.unusable(n) != nil {
			return clientassertion.Organization{}
		}
	}
	return s.asked().Organization
}

// unusable says what is wrong with a number by itself. Test organisations need not have a
// right check digit.
func (s *state) unusable(n number) *finding {
	shown := redact.Text(string(n.value))
	switch {
	case !n.value.Valid():
		return &finding{n.flag + " is no organisation number: " + shown + " has not nine digits", []string{"Write the nine digits in " + n.flag + ", without spaces."}}
	case s.issuerText() == helseid.Production.Issuer() && !n.value.ValidCheckDigit():
		return &finding{n.flag + " is no organisation number: the last digit of " + shown + " does not fit the others", []string{"Look for a wrong digit in " + n.flag + "."}}
	}
	return nil
}

// checkOrganization judges the organisation that the token is for.
func checkOrganization(_ context.Context, s *state) result {
	var found result
	for _, n := range s.numbers() {
		if wrong := s.unusable(n); wrong != nil {
			found.findings = append(found.findings, *wrong)
		}
	}
	switch {
	case len(found.findings) > 0:
		return found
	case s.refused != nil:
		return s.refusedOrganization()
	case s.base == nil:
		return skip("%s", s.whyNoToken)
	}
	return s.grantedOrganization()
}

func (s *state) refusedOrganization() result {
	numbers := s.numbers()
	if len(numbers) == 0 {
		return bad("HelseID wants an organisation, and none is named: "+refusalText(s.refused), "Name the organisation that the call is for with -parent, and its sub-unit with -child. "+advice(s.refused))
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = n.flag + " " + string(n.value)
	}
	var remedies []string
	aboutNumber := slices.Contains([]string{"HID-1001", "HID-1002", "HID-1003"}, s.refused.HID)
	for _, n := range numbers {
		if aboutNumber && !n.value.ValidCheckDigit() {
			remedies = append(remedies, fmt.Sprintf("Look for a wrong digit in %s: the last digit of %s does not fit the others (some test organisations are like that).", n.flag, n.value))
		}
	}
	mend := advice(s.refused)
	switch s.refused.HID {
	case "HID-1005":
		mend += " Leave -parent out: HelseID knows the parent of this client. If it should serve several organisations, it must be registered as multi-tenant."
	case "HID-1006":
		mend += " A multi-tenant client names -parent too."
	}
	return bad("HelseID refuses the organisation ("+strings.Join(texts, ", ")+"): "+refusalText(s.refused), append(remedies, mend)...)
}

// grantedOrganization compares what the token says with what was asked for.
func (s *state) grantedOrganization() result {
	found := good("%s", s.describeOrganization())
	for _, n := range []struct {
		number
		claim string
	}{{number{"-parent", s.organization.Parent}, claimParent}, {number{"-child", s.organization.Child}, claimChild}} {
		if said := claim(s.base, n.claim); n.value != "" && said != string(n.value) {
			found.add(fmt.Sprintf("the token is not for %s %s: its claim %s is %q", n.flag, n.value, n.claim, said),
				"Look at the client's organisations in "+s.selvbetjeningPage()+", and ask Norsk helsenett if they are right.")
		}
	}
	return found
}

func (s *state) describeOrganization() string {
	var parts []string
	for _, part := range []struct{ name, claim string }{{"parent", claimParent}, {"child", claimChild}, {"supplier", claimSupplier}} {
		if value := claim(s.base, part.claim); value != "" {
			parts = append(parts, part.name+" "+value)
		}
	}
	if len(parts) == 0 {
		return "none in the token"
	}
	return strings.Join(parts, ", ")
}
