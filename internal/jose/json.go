package jose

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth bounds nesting. HelseID's deepest document, the trust-framework
// attest, nests six levels.
const maxDepth = 32

// maxNumber is how long a number may be as text. The longest that a float64 can need
// has 24 characters, and longer ones only cost time.
const maxNumber = 64

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
func ParseObject(data []byte) (Object, error) { return parseObject(string(data), math.MaxInt) }

// ParseValue reads one JSON value of any kind as strictly as ParseObject reads an
// object. The caller bounds the length.
func ParseValue(data []byte) (Value, error) {
	r := newReader(string(data))
	defer r.release()
	r.space()
	value, err := r.value(0)
	if err != nil {
		return Value{}, err
	}
	if err := r.end("value"); err != nil {
		return Value{}, err
	}
	return value, nil
}

// parseObject refuses an object that holds more values than this, at all levels
// together. It reads all of it and keeps the members of these names, or all.
func parseObject(text string, maxValues int, names ...string) (Object, error) {
	r := newReader(text)
	defer r.release()
	r.left, r.only = maxValues, names
	r.space()
	if r.peek() != '{' {
		return Object{}, r.fail("is not a JSON object")
	}
	object, err := r.object(0, true)
	if err != nil {
		return Object{}, err
	}
	if err := r.end("object"); err != nil {
		return Object{}, err
	}
	return object, nil
}

// end refuses what comes after the document.
func (r *reader) end(document string) error {
	r.space()
	if r.pos != len(r.data) {
		return r.fail("has text after the " + document)
	}
	return nil
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
	return textOf(appendUnescaped(nil, v.raw)), true
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
	defer r.release()
	object, err := r.object(0, true)
	return object, err == nil
}

// Array is the value of an array.
func (v Value) Array() ([]Value, bool) {
	values := []Value{}
	err := v.each(func(value Value) error {
		values = append(values, value)
		return nil
	})
	return values, err == nil
}

// Texts is the value of an array of so many strings at most, or of one string, which
// is the same as an array of it.
func (v Value) Texts(limit int) ([]string, bool) {
	if text, ok := v.Text(); ok {
		return []string{text}, true
	}
	texts := []string{}
	err := v.each(func(value Value) error {
		text, ok := value.Text()
		if !ok || len(texts) == limit {
			return errStop
		}
		texts = append(texts, text)
		return nil
	})
	return texts, err == nil
}

func (v Value) each(read func(Value) error) error {
	if v.kind != kindArray {
		return errStop
	}
	r := newReader(v.raw)
	defer r.release()
	return r.array(0, read)
}

// reader is a strict recursive-descent scanner.
type reader struct {
	*scratch
	data string
	pos  int
	skip bool     // nested values are passed over unread
	left int      // how many values there may yet be
	only []string // the names of the members to keep; nil: all
}

// scratch is what a reader needs while it reads. It is used again by others, so that
// a document costs little memory until it is known who sent it.
type scratch struct {
	names   []string // the names of all open objects, innermost last
	decoded []byte   // those of them that were written with escapes
}

// maxScratch is how many names, and 16 times how many of their bytes, are kept for
// others to use.
const maxScratch = 1 << 10

var scratches = sync.Pool{New: func() any { return &scratch{names: make([]string, 0, 64)} }}

func newReader(data string) reader {
	return reader{scratch: scratches.Get().(*scratch), data: data, left: math.MaxInt}
}

// release must be called when the document has been read.
func (r *reader) release() {
	if cap(r.names) > maxScratch || cap(r.decoded) > 16*maxScratch {
		return
	}
	clear(r.names[:cap(r.names)]) // they hold the document
	r.names, r.decoded = r.names[:0], r.decoded[:0]
	scratches.Put(r.scratch)
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
	if r.left--; r.left < 0 {
		return v, r.fail("has too many values")
	}
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
		err = r.array(depth+1, nil)
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
	var seen map[string]struct{}
	defer func() {
		r.names = r.names[:open]
		if seen != nil && len(seen) <= maxScratch {
			clear(seen)
			seenMaps.Put(seen)
		}
	}()

	r.pos++ // {
	r.space()
	if r.peek() == '}' {
		r.pos++
		return object, nil
	}
	for {
		r.space()
		name, decoded, err := r.memberName()
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
		if keep && (r.only == nil || slices.Contains(r.only, name)) {
			if object.members == nil {
				object.members = make([]member, 0, r.room())
			}
			if decoded {
				name = strings.Clone(name)
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

// room is the initial capacity for members.
func (r *reader) room() int {
	if r.only != nil {
		return len(r.only)
	}
	return min(64, 2+len(r.data)/32)
}

// memberName reads a name and its colon. A name that had to be decoded is good for
// as long as the reader is.
func (r *reader) memberName() (name string, decoded bool, err error) {
	start := r.pos
	if r.peek() != '"' {
		return "", false, r.fail("is not well formed or was cut off")
	}
	if decoded, err = r.text(); err != nil {
		return "", false, err
	}
	name = r.data[start+1 : r.pos-1]
	if decoded {
		from := len(r.decoded)
		r.decoded = appendUnescaped(r.decoded, r.data[start:r.pos])
		name = textOf(r.decoded[from:])
	}
	r.space()
	if r.peek() != ':' {
		return "", false, r.fail("is not well formed or was cut off")
	}
	r.pos++
	r.space()
	return name, decoded, nil
}

var seenMaps = sync.Pool{New: func() any { return make(map[string]struct{}, 128) }}

// refuseDuplicate remembers a name of the object whose names start at open. A
// short object is searched, a long one gets a map, so that many members cost
// no more than linear time.
func (r *reader) refuseDuplicate(name string, open int, seen map[string]struct{}) (map[string]struct{}, error) {
	const short = 32
	if seen == nil && len(r.names)-open >= short {
		seen = seenMaps.Get().(map[string]struct{})
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

// errStop ends the reading of a list.
var errStop = errors.New("enough")

// array shows each element to a function, if there is one.
func (r *reader) array(depth int, each func(Value) error) error {
	if depth > maxDepth {
		return r.fail("is nested too deeply")
	}
	r.pos++ // [
	r.space()
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for {
		r.space()
		value, err := r.value(depth)
		if err == nil && each != nil {
			err = each(value)
		}
		if err != nil {
			return err
		}
		r.space()
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return nil
		default:
			return r.fail("is not well formed or was cut off")
		}
	}
}

// text reads a string, from quote to quote.
func (r *reader) text() (escaped bool, err error) {
	r.pos++ // opening quote
	for r.pos < len(r.data) {
		for r.pos < len(r.data) && plain[r.data[r.pos]] {
			r.pos++
		}
		if r.pos == len(r.data) {
			break
		}
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

// plain are the bytes of a string that stand for themselves.
var plain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

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

// appendUnescaped appends the text of a string that has been read.
func appendUnescaped(text []byte, raw string) []byte {
	r := reader{data: raw[:len(raw)-1], pos: 1}
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		if c != '\\' {
			text = append(text, c)
			r.pos++
			continue
		}
		r.pos++
		switch c := r.peek(); c {
		case 'u':
			char, _ := r.unicodeEscape()
			if utf16.IsSurrogate(char) {
				r.pos++ // the backslash of the other half
				low, _ := r.unicodeEscape()
				char = utf16.DecodeRune(char, low)
			}
			text = utf8.AppendRune(text, char)
			continue
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		default: // a quotation mark, a slash or a backslash
			text = append(text, c)
		}
		r.pos++
	}
	return text
}

// unicodeEscape reads uXXXX.
func (r *reader) unicodeEscape() (rune, error) {
	if len(r.data)-r.pos < 5 {
		return 0, r.fail("has a bad escape")
	}
	var char rune
	for _, c := range []byte(r.data[r.pos+1 : r.pos+5]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, r.fail("has a bad escape")
		}
		char = char<<4 | rune(c)
	}
	r.pos += 5
	return char, nil
}

func (r *reader) number() error {
	start := r.pos
	if err := r.anyNumber(); err != nil {
		return err
	}
	if r.pos-start > maxNumber {
		return r.fail("has a number that is too long")
	}
	return nil
}

func (r *reader) anyNumber() error {
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

// digits stops when there are more than a number can have.
func (r *reader) digits() (n int) {
	for c := r.peek(); c >= '0' && c <= '9' && n <= maxNumber; c = r.peek() {
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
