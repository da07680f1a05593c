package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth bounds nesting. HelseID's deepest document, the trust-framework
// attest, nests six levels.
const maxDepth = 32

// ErrJSON is wrapped by every error of the reader.
var ErrJSON = errors.New("unusable JSON")

type kind byte

const (
	kindAbsent kind = iota
	kindNull
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// Value is one JSON value. The zero Value is that of a missing member.
type Value struct {
	raw     string
	kind    kind
	escaped bool // a string with at least one backslash
}

type member struct {
	name  string
	value Value
}

// Object is a JSON object whose members are found by their exact name.
// encoding/json would fold case and take the last of two duplicates, so that
// two readers of one document could see different things.
type Object struct {
	members []member
}

// ParseObject reads one JSON object (RFC 8259) strictly: nothing before or
// after it, valid UTF-8, no duplicate names at any level, bounded depth. The
// caller bounds the length.
func ParseObject(data []byte) (Object, error) {
	r := newReader(string(data))
	r.space()
	if r.peek() != '{' {
		return Object{}, r.fail("is not a JSON object")
	}
	object, err := r.object(0, true)
	if err != nil {
		return Object{}, err
	}
	r.space()
	if r.pos != len(r.data) {
		return Object{}, r.fail("has text after the object")
	}
	return object, nil
}

// Get returns the member of exactly this name.
func (o Object) Get(name string) Value {
	for _, m := range o.members {
		if m.name == name {
			return m.value
		}
	}
	return Value{}
}

// Has reports whether a member of exactly this name exists, null or not.
func (o Object) Has(name string) bool { return o.Get(name).kind != kindAbsent }

// Names lists the members in document order.
func (o Object) Names() []string {
	names := make([]string, len(o.members))
	for i, m := range o.members {
		names[i] = m.name
	}
	return names
}

// Size is how many bytes the list of members takes, beyond the document's text.
func (o Object) Size() int { return cap(o.members) * int(unsafe.Sizeof(member{})) }

// CheckFolded refuses an object with a member that differs only in case from
// one of names: a lenient reader elsewhere would take it for the real one.
func (o Object) CheckFolded(names ...string) error {
	for _, name := range names {
		for _, m := range o.members {
			if m.name != name && strings.EqualFold(m.name, name) {
				return fmt.Errorf("%w: a member differs from %q only in case", ErrJSON, name)
			}
		}
	}
	return nil
}

// Absent reports that the member is missing or null.
func (v Value) Absent() bool { return v.kind == kindAbsent || v.kind == kindNull }

// Empty reports that the member says nothing: it is missing, null, an empty text
// or an empty list. .NET writes members that nobody set as [] or null.
func (v Value) Empty() bool {
	switch v.kind {
	case kindAbsent, kindNull:
		return true
	case kindString:
		return len(v.raw) == len(`""`)
	case kindArray:
		r := reader{data: v.raw, pos: 1}
		r.space()
		return r.peek() == ']'
	}
	return false
}

// Raw is the value's JSON text as it stood in the document.
func (v Value) Raw() string { return v.raw }

// Text is the value of a string.
func (v Value) Text() (string, bool) {
	if v.kind != kindString {
		return "", false
	}
	if !v.escaped {
		return v.raw[1 : len(v.raw)-1], true
	}
	var text string
	if err := json.Unmarshal([]byte(v.raw), &text); err != nil {
		return "", false
	}
	return text, true
}

// Bool is the value of true or false.
func (v Value) Bool() (value, ok bool) { return v.raw == "true", v.kind == kindBool }

// Int is the value of a number written as an integer, within the range that
// every JSON implementation can hold (RFC 7493 section 2.2).
func (v Value) Int() (int64, bool) {
	if v.kind != kindNumber {
		return 0, false
	}
	n, err := strconv.ParseInt(v.raw, 10, 64)
	if err != nil || n > 1<<53 || n < -(1<<53) {
		return 0, false
	}
	return n, true
}

// Seconds is a NumericDate or a duration: a number, with its fraction cut off
// (RFC 7519 section 2 allows one).
func (v Value) Seconds() (int64, bool) {
	if n, ok := v.Int(); ok {
		return n, true
	}
	if v.kind != kindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.raw, 64)
	if err != nil || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(math.Floor(f)), true
}

// Object is the value of an object.
func (v Value) Object() (Object, bool) {
	if v.kind != kindObject {
		return Object{}, false
	}
	r := newReader(v.raw)
	object, err := r.object(0, true)
	return object, err == nil
}

// Array is the value of an array.
func (v Value) Array() ([]Value, bool) {
	if v.kind != kindArray {
		return nil, false
	}
	r := newReader(v.raw)
	values, err := r.array(0, true)
	return values, err == nil
}

// reader is a strict recursive-descent scanner.
type reader struct {
	data  string
	pos   int
	names []string // the names of all open objects, innermost last
	skip  bool     // nested values are passed over unread
}

// newReader makes room for the names of an ordinary document at once.
func newReader(data string) reader {
	return reader{data: data, names: make([]string, 0, min(32, 2+len(data)/24))}
}

func (r *reader) fail(what string) error {
	return fmt.Errorf("%w: it %s (at byte %d)", ErrJSON, what, r.pos)
}

func (r *reader) peek() byte {
	if r.pos < len(r.data) {
		return r.data[r.pos]
	}
	return 0
}

func (r *reader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *reader) value(depth int) (Value, error) {
	start := r.pos
	v := Value{}
	var err error
	switch c := r.peek(); {
	case r.skip && (c == '{' || c == '['):
		v.kind = kindArray
		if c == '{' {
			v.kind = kindObject
		}
		err = r.skipNested()
	case c == '"':
		v.kind = kindString
		v.escaped, err = r.text()
	case c == '{':
		v.kind = kindObject
		_, err = r.object(depth+1, false)
	case c == '[':
		v.kind = kindArray
		_, err = r.array(depth+1, false)
	case c == '-' || c >= '0' && c <= '9':
		v.kind = kindNumber
		err = r.number()
	default:
		v.kind, err = r.literal()
	}
	v.raw = r.data[start:r.pos]
	return v, err
}

func (r *reader) object(depth int, keep bool) (Object, error) {
	var object Object
	if depth > maxDepth {
		return object, r.fail("is nested too deeply")
	}
	open := len(r.names)
	defer func() { r.names = r.names[:open] }()
	var seen map[string]struct{}

	r.pos++ // {
	r.space()
	if r.peek() == '}' {
		r.pos++
		return object, nil
	}
	for {
		r.space()
		name, err := r.memberName()
		if err != nil {
			return object, err
		}
		if seen, err = r.refuseDuplicate(name, open, seen); err != nil {
			return object, err
		}
		value, err := r.value(depth)
		if err != nil {
			return object, err
		}
		if keep {
			if object.members == nil {
				object.members = make([]member, 0, min(32, 2+len(r.data)/32))
			}
			object.members = append(object.members, member{name, value})
		}
		r.space()
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return object, nil
		default:
			return object, r.fail("is not well formed or was cut off")
		}
	}
}

// memberName reads a name and its colon.
func (r *reader) memberName() (string, error) {
	start := r.pos
	if r.peek() != '"' {
		return "", r.fail("is not well formed or was cut off")
	}
	escaped, err := r.text()
	if err != nil {
		return "", err
	}
	name, _ := Value{raw: r.data[start:r.pos], kind: kindString, escaped: escaped}.Text()
	r.space()
	if r.peek() != ':' {
		return "", r.fail("is not well formed or was cut off")
	}
	r.pos++
	r.space()
	return name, nil
}

// refuseDuplicate remembers a name of the object whose names start at open. A
// short object is searched, a long one gets a map, so that many members cost
// no more than linear time.
func (r *reader) refuseDuplicate(name string, open int, seen map[string]struct{}) (map[string]struct{}, error) {
	const short = 32
	if seen == nil && len(r.names)-open >= short {
		seen = make(map[string]struct{}, 2*short)
		for _, n := range r.names[open:] {
			seen[n] = struct{}{}
		}
	}
	duplicate := false
	if seen != nil {
		_, duplicate = seen[name]
		seen[name] = struct{}{}
	} else {
		duplicate = slices.Contains(r.names[open:], name)
	}
	if duplicate {
		return seen, r.fail("has a duplicate member")
	}
	r.names = append(r.names, name)
	return seen, nil
}

func (r *reader) array(depth int, keep bool) ([]Value, error) {
	if depth > maxDepth {
		return nil, r.fail("is nested too deeply")
	}
	values := []Value{}
	r.pos++ // [
	r.space()
	if r.peek() == ']' {
		r.pos++
		return values, nil
	}
	for {
		r.space()
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if keep {
			values = append(values, value)
		}
		r.space()
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return values, nil
		default:
			return nil, r.fail("is not well formed or was cut off")
		}
	}
}

// text reads a string, from quote to quote.
func (r *reader) text() (escaped bool, err error) {
	r.pos++ // opening quote
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := r.escape(); err != nil {
				return escaped, err
			}
		case c < 0x20:
			return escaped, r.fail("has a control character in a string")
		case c < utf8.RuneSelf:
			r.pos++
		default:
			char, size := utf8.DecodeRuneInString(r.data[r.pos:])
			if char == utf8.RuneError && size == 1 {
				return escaped, r.fail("is not valid UTF-8")
			}
			r.pos += size
		}
	}
	return escaped, r.fail("was cut off in a string")
}

func (r *reader) escape() error {
	r.pos++ // backslash
	switch r.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.pos++
		return nil
	case 'u':
	default:
		return r.fail("has a bad escape")
	}
	char, err := r.unicodeEscape()
	if err != nil || !utf16.IsSurrogate(char) {
		return err
	}
	// A lone surrogate is no character; decoders replace it, each in its way.
	if strings.HasPrefix(r.data[r.pos:], `\u`) {
		r.pos++
		low, err := r.unicodeEscape()
		if err == nil && utf16.DecodeRune(char, low) != utf8.RuneError {
			return nil
		}
	}
	return r.fail("has half a surrogate pair")
}

// unicodeEscape reads uXXXX.
func (r *reader) unicodeEscape() (rune, error) {
	if len(r.data)-r.pos < 5 {
		return 0, r.fail("has a bad escape")
	}
	n, err := strconv.ParseUint(r.data[r.pos+1:r.pos+5], 16, 16)
	if err != nil {
		return 0, r.fail("has a bad escape")
	}
	r.pos += 5
	return rune(n), nil
}

func (r *reader) number() error {
	if r.peek() == '-' {
		r.pos++
	}
	switch c := r.peek(); {
	case c == '0':
		r.pos++
	case c >= '1' && c <= '9':
		r.digits()
	default:
		return r.fail("has a malformed number")
	}
	if r.peek() == '.' {
		r.pos++
		if r.digits() == 0 {
			return r.fail("has a malformed number")
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.pos++
		if c := r.peek(); c == '+' || c == '-' {
			r.pos++
		}
		if r.digits() == 0 {
			return r.fail("has a malformed number")
		}
	}
	return nil
}

func (r *reader) digits() (n int) {
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.pos++
		n++
	}
	return n
}

var literals = [...]struct {
	text string
	kind kind
}{{"null", kindNull}, {"true", kindBool}, {"false", kindBool}}

func (r *reader) literal() (kind, error) {
	for _, literal := range literals {
		if strings.HasPrefix(r.data[r.pos:], literal.text) {
			r.pos += len(literal.text)
			return literal.kind, nil
		}
	}
	return kindAbsent, r.fail("is not well formed or was cut off")
}
