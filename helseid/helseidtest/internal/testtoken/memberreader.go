package testtoken

import (
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
	"github.com/helseid-go/sdk/internal/jose"
)

// memberReader reads members that may be missing or null, and records the names of
// members with a wrong type.
type memberReader struct {
	object jose.Object
	path   string
	wrong  *[]string
}

func (r *memberReader) fail(name string) { *r.wrong = append(*r.wrong, r.path+name) }

func (r *memberReader) has(name string) bool { return !r.object.Get(name).Absent() }

func (r *memberReader) text(name string) string {
	value := r.object.Get(name)
	text, ok := value.Text()
	if !ok && !value.Absent() {
		r.fail(name)
	}
	return text
}

func (r *memberReader) bool(name string) bool {
	value := r.object.Get(name)
	found, ok := value.Bool()
	if !ok && !value.Absent() {
		r.fail(name)
	}
	return found && ok
}

func (r *memberReader) number(name string) (number int64, given bool) {
	value := r.object.Get(name)
	if value.Absent() {
		return 0, false
	}
	number, ok := value.Int()
	if !ok {
		r.fail(name)
	}
	return number, true
}

func (r *memberReader) texts(name string) []string {
	value := r.object.Get(name)
	values, ok := value.Array()
	texts := claim.Texts(value)
	if !value.Absent() && (!ok || len(texts) != len(values)) {
		r.fail(name)
	}
	return texts
}

func (r *memberReader) child(name string) *memberReader {
	value := r.object.Get(name)
	object, ok := value.Object()
	if !ok && !value.Absent() {
		r.fail(name)
	}
	return &memberReader{object, r.path + name + ".", r.wrong}
}

func (r *memberReader) children(name string) []*memberReader {
	value := r.object.Get(name)
	values, ok := value.Array()
	if !ok && !value.Absent() {
		r.fail(name)
	}
	var found []*memberReader
	for _, value := range values {
		object, ok := value.Object()
		if !ok {
			r.fail(name)
			continue
		}
		found = append(found, &memberReader{object, r.path + name + ".", r.wrong})
	}
	return found
}
