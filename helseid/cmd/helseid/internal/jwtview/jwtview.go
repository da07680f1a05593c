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

// elevenDigits also finds numbers that are written in two parts.
var elevenDigits = regexp.MustCompile(`\d{6}[ -]?\d{5}`)

// Mask replaces what can be a national identity number with asterisks, wherever it stands,
// but for a part of a longer number.
func Mask(data []byte) []byte {
	masked := bytes.Clone(data)
	for start := 0; ; {
		found := elevenDigits.FindIndex(masked[start:])
		if found == nil {
			return masked
		}
		begin, end := start+found[0], start+found[1]
		if begin > 0 && isDigit(masked[begin-1]) || end < len(masked) && isDigit(masked[end]) {
			start = begin + 1
			continue
		}
		copy(masked[begin:end], bytes.Repeat([]byte("*"), end-begin))
		start = end
	}
}

func isDigit(char byte) bool { return '0' <= char && char <= '9' }

// Indent makes JSON readable.
func Indent(data []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, data, "", "  ") != nil {
		return string(data)
	}
	return indented.String()
}
