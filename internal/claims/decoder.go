package claims

import (
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// MaxList is how many elements a list of texts may have: scopes, audiences,
// authentication methods. A client of HelseID's gets some dozens of scopes at most. A
// longer list is of a wrong type, since all of it is copied at each call.
const MaxList = 256

// maxMalformed is how many claims Malformed names, before it says that there are
// others. They stand in each audit record of the token.
const maxMalformed = 16

// otherClaims is the last element of Malformed if there are more.
const otherClaims = "others"

// Decoder reads the members of an object into typed values.
type Decoder struct {
	Object jose.Object

	// Malformed names the members that were left out because they are of a wrong
	// type: 16 at most, and then "others" if there are more.
	Malformed []string
}

// Wrong adds a name to Malformed.
func (d *Decoder) Wrong(name string) {
	switch n := len(d.Malformed); {
	case n < maxMalformed:
		d.Malformed = append(d.Malformed, name)
	case n == maxMalformed:
		d.Malformed = append(d.Malformed, otherClaims)
	}
}

// Text reads a string.
func (d *Decoder) Text(name string) string {
	value := d.Object.Get(name)
	text, ok := value.Text()
	if !ok && !value.Absent() {
		d.Wrong(name)
	}
	return text
}

// Texts reads an array of strings, or a single string as an array of one.
func (d *Decoder) Texts(name string) []string {
	value := d.Object.Get(name)
	if value.Absent() {
		return nil
	}
	texts, ok := value.Texts(MaxList)
	if !ok {
		d.Wrong(name)
		return nil
	}
	return texts
}

// Time reads a time in Unix seconds.
func (d *Decoder) Time(name string) time.Time {
	value := d.Object.Get(name)
	if value.Absent() {
		return time.Time{}
	}
	seconds, ok := value.Seconds()
	if !ok {
		d.Wrong(name)
		return time.Time{}
	}
	return UnixTime(seconds)
}

// UnixTime is in UTC, so that the same claims print alike on every machine, and
// printing them reads nothing of the process's own zone.
func UnixTime(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// Bool reads true or false.
func (d *Decoder) Bool(name string) bool {
	value := d.Object.Get(name)
	found, ok := value.Bool()
	if !ok && !value.Absent() {
		d.Wrong(name)
	}
	return found && ok
}

// OrganizationNumber reads a number of nine digits.
func (d *Decoder) OrganizationNumber(name string) identity.OrganizationNumber {
	number := identity.OrganizationNumber(d.Text(name))
	if number != "" && !number.Valid() {
		d.Wrong(name)
		return ""
	}
	return number
}
