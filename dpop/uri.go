package dpop

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
)

// sameURI compares two URLs by RFC 3986 section 6.2.2 and 6.2.3, without query
// and fragment: scheme and host in any case, default ports, percent-encoding.
// The path is case-sensitive, and its segments are compared as they are, dots
// included: what the client signed must be what it asked for.
func sameURI(a, b string) bool {
	first, ok := normalURI(a)
	if !ok {
		return false
	}
	second, ok := normalURI(b)
	return ok && first == second
}

// normalURI takes the text apart by hand: package url re-encodes a whole path
// when a single character of it is unusual, and an encoded slash is then lost.
func normalURI(text string) (string, bool) {
	if len(text) > MaxProof || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", false
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = jose.LowerASCII(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", false
	}
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	authority, path := rest, "/"
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	// Only an IPv6 zone has escapes here, and they must be sound (RFC 6874).
	if strings.Contains(authority, "%") {
		if _, err := url.Parse(scheme + "://" + authority); err != nil {
			return "", false
		}
	}
	host, err := canonicalHost(scheme, authority)
	if err != nil {
		return "", false
	}
	path, ok = normalPath(path)
	return scheme + "://" + host + path, ok
}

// normalPath decodes what needed no encoding, writes hex digits in upper case
// (RFC 3986 sections 6.2.2.1 and 6.2.2.2), and encodes what needed it.
func normalPath(path string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", false
			}
			char := hexValue(path[i+1])<<4 | hexValue(path[i+2])
			if isUnreserved(char) {
				out.WriteByte(char)
			} else {
				out.WriteString(strings.ToUpper(path[i : i+3]))
			}
			i += 2
		case isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
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
