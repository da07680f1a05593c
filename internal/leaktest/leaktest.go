package leaktest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Type is an exported type and how it is filled. By default all its exported
// fields of text and bytes hold secrets, so that a new one cannot be forgotten.
type Type struct {
	name   string
	typ    reflect.Type
	public []string
	raw    string
	json   string
	make   func(*Secrets) any                        // a value by its constructor, or nil
	shapes func(value any) (walked, printed []shape) // from a T or *T
}

// Of is a type that is filled field by field. The exported fields named in public
// may be printed; "*" means all.
func Of[T any](public ...string) Type {
	typ := reflect.TypeFor[T]()
	name, _, _ := strings.Cut(typ.Name(), "[")
	return Type{name: typ.PkgPath() + "." + name, typ: typ, public: public, shapes: shapesOf[T]}
}

// Made is a type whose value a function makes, a T or *T.
func Made[T any](make func(*Secrets) any) Type {
	made := Of[T]()
	made.make = make
	return made
}

// Raw says why the type's exported fields hold secrets as they are. It is still to
// redact itself wherever package fmt calls methods.
func (t Type) Raw(why string) Type {
	t.raw = why
	return t
}

// Marshals says why encoding/json gives the type's secrets.
func (t Type) Marshals(why string) Type {
	t.json = why
	return t
}

// Extra is a value of a type that is not exported, such as one behind an
// interface.
func Extra(name string, make func(*Secrets) any) Type {
	return Type{name: name, make: make, shapes: shapesOf[any]}
}

// Check prints every type, after it has made sure that types has all exported
// types of the module in this folder, and no other.
func Check(t *testing.T, folder string, types ...Type) {
	t.Helper()
	var listed []string
	byType := make(map[reflect.Type]Type)
	for _, typ := range types {
		if typ.typ != nil {
			listed = append(listed, typ.name)
			byType[typ.typ] = typ
		}
	}
	slices.Sort(listed)
	exported, err := ExportedTypes(folder)
	require.NoError(t, err)
	for _, name := range exported {
		require.True(t, slices.Contains(listed, name), "%s: print it, too: add it to the list of types", name)
	}
	require.Len(t, listed, len(exported), "the list has types that are not exported (any more), or has one twice")
	for _, typ := range types {
		t.Run(typ.name, func(t *testing.T) {
			t.Parallel()
			secrets := &Secrets{}
			f := &filler{types: byType, secrets: secrets, made: make(map[reflect.Type]reflect.Value)}
			walked := f.value(t, typ)
			f.raw = true
			printed := f.value(t, typ)
			forms := secrets.forms()
			leaves, _ := typ.shapes(walked)
			_, calls := typ.shapes(printed)
			allVerbs := slices.Concat(verbs, noMethods)
			called := allVerbs
			if typ.raw != "" || f.filledRaw {
				called = verbs
			}
			if typ.raw == "" {
				for _, shape := range leaves {
					checkShape(t, shape, allVerbs, forms, typ.json != "")
				}
			}
			for _, shape := range calls {
				checkShape(t, shape, called, forms, typ.json != "")
			}
		})
	}
}
