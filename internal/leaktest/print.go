package leaktest

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// shape is a value as an application may print it.
type shape struct {
	name  string
	value any
}

// shapesOf nests a value: where package fmt calls no methods and walks what it
// finds, and where it calls them.
func shapesOf[T any](filled any) (walked, printed []shape) {
	pointer, ok := filled.(*T)
	if !ok {
		value := filled.(T)
		pointer = &value
	}
	walked = []shape{
		{"pointer in a field", struct{ field *T }{pointer}},
		{"pointer in a field of a pointer", &struct{ field *T }{pointer}},
		{"pointer as interface in a field", struct{ field any }{pointer}},
		{"pointers in a field", struct{ field []*T }{[]*T{pointer}}},
		{"map of pointers in a field", struct{ field map[string]*T }{map[string]*T{"a": pointer}}},
	}
	printed = []shape{
		{"pointer", pointer},
		{"pointer in an exported field", &struct{ Field *T }{pointer}},
		{"pointers", []*T{pointer}},
		{"map of pointers", map[string]*T{"a": pointer}},
		{"any", []any{pointer}},
	}
	if isLocked(reflect.TypeFor[T]()) { // then nobody copies it
		return walked, printed
	}
	value := *pointer
	walked = append(walked,
		shape{"field", struct{ field T }{value}},
		shape{"field of a pointer", &struct{ field T }{value}},
		shape{"interface in a field", struct{ field any }{value}},
		shape{"slice in a field", struct{ field []T }{[]T{value}}},
		shape{"map in a field", struct{ field map[string]T }{map[string]T{"a": value}}},
	)
	printed = append(printed,
		shape{"value", value},
		shape{"exported field", struct{ Field T }{value}},
		shape{"slice", []T{value}},
		shape{"map", map[string]T{"a": value}},
		shape{"values as any", []any{value}},
	)
	return walked, printed
}

// isLocked reports that a value holds a lock, so that go vet lets nobody copy it.
func isLocked(typ reflect.Type) bool {
	if typ.Kind() != reflect.Interface && reflect.PointerTo(typ).Implements(reflect.TypeFor[sync.Locker]()) {
		return true
	}
	for i := 0; typ.Kind() == reflect.Struct && i < typ.NumField(); i++ {
		if isLocked(typ.Field(i).Type) {
			return true
		}
	}
	return typ.Kind() == reflect.Array && isLocked(typ.Elem())
}

// verbs are those that fit some value, and those that fit none.
var verbs = []string{
	"%v", "%+v", "%#v", "%s", "%+s", "%q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%g", "%T",
	"%10.3v", "%-40s", "%z", "%!", "%*d", "%[2]d",
}

// noMethods are verbs with which package fmt calls no methods at all.
var noMethods = []string{"%w", "%p"}

// checkShape prints, logs and marshals, and looks for the secrets. Failures name
// the form alone.
func checkShape(t *testing.T, shape shape, verbs, forms []string, marshals bool) {
	t.Helper()
	look := func(way, text string) {
		t.Helper()
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s, %s: a secret is in the text as %.20q", shape.name, way, form)
				return
			}
		}
	}
	for _, verb := range verbs {
		look(verb, fmt.Sprintf(verb, shape.value))
	}
	look("Errorf", fmt.Errorf("%w: %v", errors.ErrUnsupported, shape.value).Error())
	look("Println", fmt.Sprintln(shape.value))
	text, err := json.Marshal(shape.value)
	if !marshals {
		look("JSON", string(text)+fmt.Sprint(err))
	}
	text, err = xml.Marshal(shape.value)
	look("XML", string(text)+fmt.Sprint(err))
	look("gob", gobOf(shape.value))
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog as text": func(out *bytes.Buffer) slog.Handler { return slog.NewTextHandler(out, nil) },
		"slog as JSON": func(out *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(out, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).With("with", shape.value).Info("message", "value", shape.value, slog.Group("group", slog.Any("inner", shape.value)))
		if !marshals || name == "slog as text" {
			look(name, out.String())
		}
	}
}

func gobOf(value any) string {
	var out bytes.Buffer
	err := gob.NewEncoder(&out).Encode(value)
	return out.String() + fmt.Sprint(err)
}
