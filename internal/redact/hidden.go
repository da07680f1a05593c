package redact

// Hidden holds a text behind a pointer: package fmt calls no method of a value
// in an unexported field, but prints what it holds. A pointer it prints as an
// address.
type Hidden struct {
	text *string
}

// Hide hides a text. The empty text gives the zero Hidden.
func Hide(text string) Hidden {
	if text == "" {
		return Hidden{}
	}
	return Hidden{&text}
}

// Reveal returns the text.
func (h Hidden) Reveal() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}
