package selvbetjening

import (
	"fmt"

	"github.com/helseid-go/sdk/internal/jose"
)

// object reads a value that must be an object, in which the given members have no
// double in another spelling.
func object(value jose.Value, members ...string) (jose.Object, error) {
	object, ok := value.Object()
	if !ok {
		return jose.Object{}, unusable(fmt.Errorf("%w: it is not an object", jose.ErrJSON))
	}
	if err := object.CheckFolded(members...); err != nil {
		return jose.Object{}, unusable(err)
	}
	return object, nil
}

// array reads a list of objects. Null is an empty one.
func array[T any](value jose.Value, name string, read func(jose.Value) (T, error)) ([]T, error) {
	if value.Absent() {
		return nil, nil
	}
	values, ok := value.Array()
	if !ok {
		return nil, unusable(fmt.Errorf("%s is not a list", name))
	}
	list := make([]T, 0, len(values))
	for _, value := range values {
		element, err := read(value)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return list, nil
}

// text reads a string. Null is the empty one.
func text(value jose.Value, name string) (string, error) {
	text, ok := value.Text()
	if !ok && !value.Absent() {
		return "", unusable(fmt.Errorf("%s is not a string", name))
	}
	return text, nil
}

// texts reads a list of strings. Null is an empty one.
func texts[T ~string](object jose.Object, name string) ([]T, error) {
	return array(object.Get(name), name, func(value jose.Value) (T, error) {
		text, ok := value.Text()
		if !ok {
			return "", unusable(fmt.Errorf("%s holds something else than strings", name))
		}
		return T(text), nil
	})
}

// fields reads string members of an object into variables.
func fields(object jose.Object, into map[string]*string) error {
	for name, field := range into {
		value, err := text(object.Get(name), name)
		if err != nil {
			return err
		}
		*field = value
	}
	return nil
}
