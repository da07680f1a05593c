package jose

import "errors"

// ParseKeySet takes a JWK set (RFC 7517 section 5) apart. Each element of keys is
// read by itself, so that one that is odd in any way (a duplicate member, text
// that is not UTF-8, too much nesting) costs itself and not the keys beside it: it
// is left out, as are elements that are no objects. The set's own members must be
// unambiguous. The caller bounds the length.
func ParseKeySet(document []byte) ([]Object, error) {
	r := newReader(string(document))
	defer r.release()
	r.space()
	if r.peek() != '{' {
		return nil, r.fail("is not a JSON object")
	}
	r.skip = true
	object, err := r.object(0, true)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.pos != len(r.data) {
		return nil, r.fail("has text after the object")
	}
	value := object.Get("keys")
	if value.kind != kindArray {
		return nil, errors.New("the key set has no member keys")
	}
	elements := newReader(value.raw)
	defer elements.release()
	elements.skip = true
	keys := []Object{}
	err = elements.array(0, func(value Value) error {
		if key, err := ParseObject([]byte(value.raw)); err == nil {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// skipNested passes over an array or an object and looks at nothing but where it
// ends.
func (r *reader) skipNested() error {
	depth := 0
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				r.pos++
				return nil
			}
		case '"':
			r.skipText()
			continue
		}
		r.pos++
	}
	return r.fail("was cut off")
}

// skipText passes over a string, from quote to quote.
func (r *reader) skipText() {
	for r.pos++; r.pos < len(r.data); r.pos++ {
		switch r.data[r.pos] {
		case '\\':
			r.pos++
		case '"':
			r.pos++
			return
		}
	}
	r.pos = len(r.data) // a backslash at the very end points beyond it
}
