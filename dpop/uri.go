package dpop

import (
	"net/url"
	"strings"
)

// sameURI compares two URLs by RFC 3986 section 6.2.2 and 6.2.3, without query
// and fragment: scheme and host in any case, default ports, percent-encoding.
// The path is case-sensitive, and its segments are compared as they are, dots
// included: what the client signed must be what it asked for.
func sameURI(a, b string) bool {
	if a == b && !strings.ContainsAny(a, "?#%") {
		_, ok := normalURI(a)
		return ok
	}
	first, ok := normalURI(a)
	if !ok {
		return false
	}
	second, ok := normalURI(b)
	return ok && first == second
}

func normalURI(text string) (string, bool) {
	if len(text) > MaxProof {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return "", false
	}
	target, err := targetURI(u, "")
	if err != nil {
		return "", false
	}
	return normalEncoding(target)
}

// normalEncoding decodes what needed no encoding and writes hex digits in upper
// case (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
func normalEncoding(text string) (string, bool) {
	if !strings.Contains(text, "%") {
		return text, true
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
			return "", false
		}
		char := hexValue(text[i+1])<<4 | hexValue(text[i+2])
		if isUnreserved(char) {
			out.WriteByte(char)
		} else {
			out.WriteString(strings.ToUpper(text[i : i+3]))
		}
		i += 2
	}
	return out.String(), true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
