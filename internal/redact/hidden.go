package redact

// Hidden holds a value that no way of printing reaches. Every secret in a value that
// could be printed is held in a Hidden.
//
// A method that redacts is not enough. Package fmt calls no methods of a value in an
// unexported field, nor when the verb does not fit, but reads structs, slices, maps and
// interfaces, and with such a verb also the target of a pointer. It never follows a
// pointer to a pointer, and encoders do not see unexported fields.
//
// The zero Hidden holds the zero value. Copies of a Hidden are equal; two that were
// made separately are not.
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
