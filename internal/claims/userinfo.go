package claims

import (
	"strconv"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

const claimHPRDetails = "helseid://claims/hpr/hpr_details"

// The errors of [ParseUserInfo].
var (
	ErrMalformed = redact.Words("it is not strict JSON")
	ErrNoSubject = redact.Words("it has no subject that is a person (sub)")
)

// ParseUserInfo reads an answer of the UserInfo endpoint, which is not signed: it
// must have come from HelseID by https. Compare User.Subject with that of the token
// before anything else of it is used (OpenID Connect Core section 5.3.2). The error
// is [ErrMalformed] or [ErrNoSubject].
func ParseUserInfo(body []byte) (*identity.UserInfo, error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return nil, ErrMalformed
	}
	d := &Decoder{Object: object}
	user := d.User(Parties{Subject: d.Text("sub")})
	if user == nil || user.Subject == "" {
		return nil, ErrNoSubject
	}
	info := &identity.UserInfo{User: *user, HPRDetails: d.hprDetails(), IssuedAt: d.Time("userinfo_issued_at")}
	info.Malformed = d.Malformed
	return info, nil
}

func (d *Decoder) hprDetails() *identity.HPRDetails {
	value := d.Object.Get(claimHPRDetails)
	if value.Absent() {
		return nil
	}
	object, ok := value.Object()
	if !ok {
		d.Wrong(claimHPRDetails)
		return nil
	}
	inner := &Decoder{Object: object}
	details := &identity.HPRDetails{HPRNumber: inner.hprNumberOf("hpr_number"), NoHPRNumber: inner.Bool("no_hpr_number")}
	for _, approval := range inner.objects("approvals") {
		details.Approvals = append(details.Approvals, identity.HPRApproval{
			Profession:        approval.Text("profession"),
			Authorization:     approval.code("authorization"),
			RequisitionRights: approval.codes("requisition_rights"),
			Specialities:      approval.codes("specialities"),
		})
		inner.Malformed = append(inner.Malformed, approval.Malformed...)
	}
	for _, name := range inner.Malformed {
		d.Wrong(claimHPRDetails + "." + name)
	}
	return details
}

// hprNumberOf reads a number in both forms that occur: a JSON number, as
// HelseID's details have it, and a string.
func (d *Decoder) hprNumberOf(name string) identity.HPRNumber {
	value := d.Object.Get(name)
	if value.Absent() {
		return ""
	}
	text, ok := value.Text()
	if number, isNumber := value.Int(); isNumber {
		text, ok = strconv.FormatInt(number, 10), true
	}
	if number := identity.HPRNumber(text); ok && (text == "" || number.Valid()) {
		return number
	}
	d.Wrong(name)
	return ""
}

// objects reads an array of objects, each with a decoder of its own.
func (d *Decoder) objects(name string) []*Decoder {
	value := d.Object.Get(name)
	if value.Absent() {
		return nil
	}
	values, ok := value.Array()
	decoders := make([]*Decoder, 0, len(values))
	for i := range values {
		object, isObject := values[i].Object()
		if !isObject {
			ok = false
			break
		}
		decoders = append(decoders, &Decoder{Object: object})
	}
	if !ok {
		d.Wrong(name)
		return nil
	}
	return decoders
}

func (d *Decoder) code(name string) identity.HPRCode {
	value := d.Object.Get(name)
	if value.Absent() {
		return identity.HPRCode{}
	}
	object, ok := value.Object()
	if !ok {
		d.Wrong(name)
		return identity.HPRCode{}
	}
	return (&Decoder{Object: object}).readCode()
}

func (d *Decoder) codes(name string) []identity.HPRCode {
	var codes []identity.HPRCode
	for _, inner := range d.objects(name) {
		codes = append(codes, inner.readCode())
	}
	return codes
}

func (d *Decoder) readCode() identity.HPRCode {
	return identity.HPRCode{Value: d.Text("value"), Description: d.Text("description")}
}
