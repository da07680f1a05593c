package leaktest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Secrets are what must not be found.
type Secrets struct {
	texts []string
}

// Text is a secret of 32 bytes, the same in all values.
const Text = "Kjempehemmelig-0123456789-aBcDeF"

// Text returns Text, which counts from now on.
func (s *Secrets) Text() string { return s.Add(Text) }

// Add makes a text a secret, and returns it.
func (s *Secrets) Add(text string) string {
	if text != "" {
		s.texts = append(s.texts, text)
	}
	return text
}

// window is how much of a secret is looked for: less than a whole one tells, too.
const window = 8

// forms are the secrets, and parts of them, as they may be printed.
func (s *Secrets) forms() []string {
	found := make(map[string]bool)
	for _, text := range s.texts {
		for _, part := range []string{text, text[:min(window, len(text))], text[max(0, len(text)-window):]} {
			data := []byte(part)
			for _, form := range []string{
				part, hex.EncodeToString(data), strings.ToUpper(hex.EncodeToString(data)), fmt.Sprintf("% x", data), fmt.Sprintf("% X", data),
				strings.Trim(fmt.Sprint(data), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", data)[len("[]byte{"):], "}"),
				strings.Trim(fmt.Sprintf("%o", data), "[]"), strings.Trim(fmt.Sprintf("%b", data), "[]"), strings.Trim(fmt.Sprintf("%c", data), "[]"),
				strings.Trim(fmt.Sprintf("%U", data), "[]"), strings.Trim(strings.Join(strings.Fields(fmt.Sprint(data)), ","), "[]"),
			} {
				found[form] = true
			}
		}
		// In the middle of something longer, Base64 depends on where it starts.
		for offset := range min(3, len(text)) {
			encoded := base64.StdEncoding.EncodeToString([]byte(text[offset : len(text)-(len(text)-offset)%3]))
			found[encoded] = encoded != ""
			found[strings.NewReplacer("+", "-", "/", "_").Replace(encoded)] = encoded != ""
		}
	}
	var forms []string
	for form, looked := range found {
		if looked {
			forms = append(forms, form)
		}
	}
	return forms
}
