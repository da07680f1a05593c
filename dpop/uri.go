package dpop

import (
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
)

// sameURI compares two URLs by RFC 3986 sections 6.2.2 and 6.2.3, without query and
// fragment: it ignores the case of scheme and host, and differences in default ports
// and percent-encoding. The path is case-sensitive, and its segments are compared
// without resolving dots: the client must have signed exactly what it requested.
func sameURI(a, b string) bool {
	first, firstPath, ok := splitURI(a)
	if !ok {
		return false
	}
	second, secondPath, ok := splitURI(b)
	return ok && first == second && samePath(firstPath, secondPath)
}

// splitURI parses the text itself, because package url re-encodes a whole path if a
// single character of it is unusual, and an encoded slash is then lost. The origin is
// returned in its canonical form, the path unchanged.
func splitURI(text string) (origin, path string, ok bool) {
	if len(text) > maxProof || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", false
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = jose.LowerASCII(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", false
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
			return "", "", false
		}
	}
	host, err := canonicalHost(scheme, authority)
	return scheme + "://" + host, path, err == nil
}

// samePath compares paths character by character and allocates nothing, since the
// sender of a proof chooses one of them. A character is equal to its encoded form, whether
// or not it needs encoding (RFC 3986 section 6.2.2.2), unless it is a delimiter. The case of
// hex digits is ignored (section 6.2.2.1).
func samePath(a, b string) bool {
	for a != "" && b != "" {
		var first, second pathChar
		var ok bool
		if first, a, ok = nextPathChar(a); !ok {
			return false
		}
		if second, b, ok = nextPathChar(b); !ok || first != second {
			return false
		}
	}
	return a == b
}

// pathChar is a character of a path, and whether it delimits, which an encoded one does
// not.
type pathChar struct {
	char      byte
	delimiter bool
}

func nextPathChar(path string) (next pathChar, rest string, ok bool) {
	c := path[0]
	if c != '%' {
		return pathChar{c, strings.IndexByte("/!$&'()*+,;=:@", c) >= 0}, path[1:], true
	}
	if len(path) < 3 || !isHex(path[1]) || !isHex(path[2]) {
		return pathChar{}, "", false
	}
	return pathChar{char: hexValue(path[1])<<4 | hexValue(path[2])}, path[3:], true
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
