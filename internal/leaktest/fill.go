package leaktest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// filler fills values with secrets.
type filler struct {
	types   map[reflect.Type]Type
	secrets *Secrets
	made    map[reflect.Type]reflect.Value

	raw       bool // fill also what prints its fields where no methods are called
	filledRaw bool // there was such a thing
}

const maxDepth = 6

// value is a pointer to a filled value, or what the type's function has made.
func (f *filler) value(t *testing.T, typ Type) any {
	t.Helper()
	if typ.make != nil {
		return f.make(typ).Interface()
	}
	value := reflect.New(typ.typ)
	f.fill(value.Elem(), typ.isPublic("*"), 0)
	require.True(t, value.IsValid())
	return value.Interface()
}

func (t Type) isPublic(field string) bool {
	return slices.Contains(t.public, field) || slices.Contains(t.public, "*")
}

func (f *filler) make(typ Type) reflect.Value {
	if typ.typ == nil {
		return reflect.ValueOf(typ.make(f.secrets))
	}
	if made, ok := f.made[typ.typ]; ok {
		return made
	}
	made := reflect.ValueOf(typ.make(f.secrets))
	f.made[typ.typ] = made
	return made
}

// fill sets a value and what is in it.
func (f *filler) fill(value reflect.Value, public bool, depth int) {
	typ := value.Type()
	known, ok := f.types[typ]
	switch {
	case depth > maxDepth, ok && depth > 0 && known.raw != "" && !f.raw:
		return
	case ok && depth > 0 && known.raw != "":
		f.filledRaw = true
	case ok && known.make != nil:
		made := f.make(known)
		if made.Kind() == reflect.Pointer && typ.Kind() != reflect.Pointer {
			made = made.Elem()
		}
		value.Set(made)
		return
	case ok && known.isPublic("*"):
		public = true
	}
	switch value.Kind() {
	case reflect.String:
		text := f.secrets.Text()
		if public {
			text = "public"
		}
		value.SetString(text)
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			value.SetBytes([]byte(f.text(public)))
			return
		}
		value.Set(reflect.MakeSlice(typ, 1, 1))
		f.fill(value.Index(0), public, depth+1)
	case reflect.Array:
		for i := range value.Len() {
			f.fill(value.Index(i), public, depth+1)
		}
	case reflect.Map:
		key, element := reflect.New(typ.Key()).Elem(), reflect.New(typ.Elem()).Elem()
		f.fill(key, true, depth+1)
		f.fill(element, public, depth+1)
		value.Set(reflect.MakeMap(typ))
		value.SetMapIndex(key, element)
	case reflect.Pointer:
		f.fillPointer(value, public, depth)
	case reflect.Interface:
		f.fillInterface(value)
	case reflect.Struct:
		if !isOwn(typ) {
			return
		}
		for i := range value.NumField() {
			if field := typ.Field(i); field.IsExported() {
				f.fill(value.Field(i), public && !ok || known.isPublic(field.Name), depth+1)
			}
		}
	}
}

func (f *filler) text(public bool) string {
	if public {
		return "public"
	}
	return f.secrets.Text()
}

func (f *filler) fillPointer(value reflect.Value, public bool, depth int) {
	element := value.Type().Elem()
	known, ok := f.types[element]
	switch {
	case ok && known.raw != "" && !f.raw:
	case ok && known.make != nil:
		if made := f.make(known); made.Type() == value.Type() {
			value.Set(made)
		}
	case isOwn(element) || element.PkgPath() == "":
		value.Set(reflect.New(element))
		f.fill(value.Elem(), public, depth+1)
	}
}

// fillInterface takes the first value that fits, of those that are made.
func (f *filler) fillInterface(value reflect.Value) {
	if value.NumMethod() == 0 || value.Type().PkgPath() == "" {
		return
	}
	names := make([]string, 0, len(f.types))
	byName := make(map[string]Type)
	for _, known := range f.types {
		if known.make != nil && (known.typ.Implements(value.Type()) || reflect.PointerTo(known.typ).Implements(value.Type())) {
			names = append(names, known.name)
			byName[known.name] = known
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if made := f.make(byName[name]); made.Type().Implements(value.Type()) {
			value.Set(made)
			return
		}
	}
}

// isOwn reports whether a type is one of this repository's.
func isOwn(typ reflect.Type) bool { return strings.HasPrefix(typ.PkgPath(), repository) }
