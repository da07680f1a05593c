package redact

// Hidden holds a value where no way of printing reaches it. Whatever is secret,
// and held by something that could be printed, is held in one.
//
// A method that redacts is not enough: package fmt calls none of a value in an
// unexported field, nor when the verb does not fit, but walks through structs,
// slices, maps and interfaces, and with such a verb also through a pointer. It
// never goes through a pointer to a pointer, and encoders see no unexported field.
//
// The zero Hidden holds the zero value. Copies of a Hidden are equal, two that
// were made apart are not.
type Hidden[T any] struct {
	value **T
}

// Hide hides a value.
func Hide[T any](value T) Hidden[T] {
	pointer := &value
	return Hidden[T]{&pointer}
}

// HideText hides a text. The empty text gives the zero Hidden.
func HideText(text string) Hidden[string] {
	if text == "" {
		return Hidden[string]{}
	}
	return Hide(text)
}

// Reveal returns the value.
func (h Hidden[T]) Reveal() (value T) {
	if h.value != nil {
		value = **h.value
	}
	return value
}
