package jwtview

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxShownDepth bounds the nesting of what is shown.
const maxShownDepth = 64

// secretNames are members of private keys (RFC 7518 section 6), wherever they are.
var secretNames = []string{
	"d", "p", "q", "dp", "dq", "qi", "oth", "k",
	"privatejwk", "rsaprivatekey", "client_secret", "clientsecret", "client_assertion", "access_token", "id_token", "refresh_token", "password",
}

// Show is a JSON document as it may be printed: without private keys and tokens in it, with
// national identity numbers masked, and with escapes for what does not print. It keeps
// duplicate members, which are one of the things to see.
func Show(document []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var text bytes.Buffer
	if err := showValue(&text, decoder, 0); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has text behind the JSON")
	}
	return text.Bytes(), nil
}

func showValue(text *bytes.Buffer, decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		if depth > maxShownDepth {
			return errors.New("it is nested too deeply")
		}
		return showNested(text, decoder, token == '{', depth+1)
	case string:
		text.WriteString(Quote(token))
	case json.Number:
		text.WriteString(maskedNumber(token.String()))
	case nil:
		text.WriteString("null")
	default:
		fmt.Fprint(text, token)
	}
	return nil
}

// maskedNumber is a text if it had to be masked.
func maskedNumber(number string) string {
	if masked := string(Mask([]byte(number))); masked != number {
		return `"` + masked + `"`
	}
	return number
}

func showNested(text *bytes.Buffer, decoder *json.Decoder, isObject bool, depth int) error {
	brackets := "[]"
	if isObject {
		brackets = "{}"
	}
	text.WriteByte(brackets[0])
	for first := true; decoder.More(); first = false {
		if !first {
			text.WriteByte(',')
		}
		if isObject {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			text.WriteString(Quote(name.(string)) + ":")
			if slices.Contains(secretNames, strings.ToLower(name.(string))) {
				var hidden json.RawMessage
				if err := decoder.Decode(&hidden); err != nil {
					return err
				}
				text.WriteString(Quote(NotShown))
				continue
			}
		}
		if err := showValue(text, decoder, depth); err != nil {
			return err
		}
	}
	text.WriteByte(brackets[1])
	_, err := decoder.Token() // the closing one
	return err
}
