package tokenvalidation

import (
	"strconv"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

const claimHPRDetails = "helseid://claims/hpr/hpr_details"

// ParseUserInfo reads an answer of the UserInfo endpoint, which is not signed: it
// must have come from HelseID by https. Compare User.Subject with that of the ID
// token before anything else of it is used (OpenID Connect Core section 5.3.2).
// The error is an *Error.
func ParseUserInfo(body []byte) (*identity.UserInfo, error) {
	object, err := jose.ParseObject(body)
	if err != nil {
		return nil, refuse(ReasonMalformed)
	}
	d := &decoder{object: object}
	claims := &Claims{Subject: d.text("sub")}
	user := d.user(claims)
	if user == nil || user.Subject == "" {
		return nil, refuse(ReasonSubject)
	}
	info := &identity.UserInfo{User: *user, HPRDetails: d.hprDetails(), IssuedAt: d.time("userinfo_issued_at")}
	info.Malformed = d.malformed
	return info, nil
}

func (d *decoder) hprDetails() *identity.HPRDetails {
	value := d.object.Get(claimHPRDetails)
	if value.Absent() {
		return nil
	}
	object, ok := value.Object()
	if !ok {
		d.wrong(claimHPRDetails)
		return nil
	}
	inner := &decoder{object: object}
	details := &identity.HPRDetails{HPRNumber: inner.hprNumberOf("hpr_number"), NoHPRNumber: inner.flag("no_hpr_number")}
	for _, approval := range inner.objects("approvals") {
		details.Approvals = append(details.Approvals, identity.HPRApproval{
			Profession:        approval.text("profession"),
			Authorization:     approval.code("authorization"),
			RequisitionRights: approval.codes("requisition_rights"),
			Specialities:      approval.codes("specialities"),
		})
		inner.malformed = append(inner.malformed, approval.malformed...)
	}
	for _, name := range inner.malformed {
		d.wrong(claimHPRDetails + "." + name)
	}
	return details
}

// hprNumberOf reads a number in both forms that occur: a JSON number, as
// HelseID's details have it, and a string.
func (d *decoder) hprNumberOf(name string) identity.HPRNumber {
	value := d.object.Get(name)
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
	d.wrong(name)
	return ""
}

func (d *decoder) flag(name string) bool {
	value := d.object.Get(name)
	flag, ok := value.Bool()
	if !ok && !value.Absent() {
		d.wrong(name)
	}
	return flag && ok
}

// objects reads an array of objects, each with a decoder of its own.
func (d *decoder) objects(name string) []*decoder {
	value := d.object.Get(name)
	if value.Absent() {
		return nil
	}
	values, ok := value.Array()
	decoders := make([]*decoder, 0, len(values))
	for i := range values {
		object, isObject := values[i].Object()
		if !isObject {
			ok = false
			break
		}
		decoders = append(decoders, &decoder{object: object})
	}
	if !ok {
		d.wrong(name)
		return nil
	}
	return decoders
}

func (d *decoder) code(name string) identity.HPRCode {
	value := d.object.Get(name)
	if value.Absent() {
		return identity.HPRCode{}
	}
	object, ok := value.Object()
	if !ok {
		d.wrong(name)
		return identity.HPRCode{}
	}
	return (&decoder{object: object}).readCode()
}

func (d *decoder) codes(name string) []identity.HPRCode {
	var codes []identity.HPRCode
	for _, inner := range d.objects(name) {
		codes = append(codes, inner.readCode())
	}
	return codes
}

func (d *decoder) readCode() identity.HPRCode {
	return identity.HPRCode{Value: d.text("value"), Description: d.text("description")}
}
