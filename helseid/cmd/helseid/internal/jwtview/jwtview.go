// Package jwtview shows what is in a JWT without checking its signature, and with
// national identity numbers masked.
package jwtview

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"github.com/helseid-go/sdk/helseid/identity"
)

// Decode returns the header and the claims of a JWT in the compact form.
func Decode(jwt string) (header, claims []byte, err error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("a JWT has three parts, separated by dots")
	}
	if header, err = decodePart(parts[0]); err != nil {
		return nil, nil, errors.New("the header is no base64url of a JSON object")
	}
	if claims, err = decodePart(parts[1]); err != nil {
		return nil, nil, errors.New("the claims are no base64url of a JSON object")
	}
	return header, claims, nil
}

func decodePart(part string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	return data, json.Unmarshal(data, &object)
}

var elevenDigits = regexp.MustCompile(`\b\d{11}\b`)

// Mask replaces what can be a national identity number with asterisks, wherever it stands.
func Mask(data []byte) []byte {
	return elevenDigits.ReplaceAllFunc(data, func(digits []byte) []byte {
		if !identity.NewPersonalIdentityNumber(string(digits)).Valid() {
			return digits
		}
		return bytes.Repeat([]byte("*"), len(digits))
	})
}

// Indent makes JSON readable.
func Indent(data []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, data, "", "  ") != nil {
		return string(data)
	}
	return indented.String()
}
