package claim

import "github.com/helseid-go/sdk/internal/jose"

// Texts reads one text, or an array of texts.
func Texts(value jose.Value) []string {
	if text, ok := value.Text(); ok {
		return []string{text}
	}
	values, _ := value.Array()
	var texts []string
	for _, value := range values {
		if text, ok := value.Text(); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
