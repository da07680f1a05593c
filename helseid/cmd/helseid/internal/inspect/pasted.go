package inspect

import (
	"regexp"
	"strings"
)

var (
	// headerLine is a header as in a request or in the output of curl -v, or in quotes as
	// an argument of curl.
	headerLine = regexp.MustCompile(`^[>\s]*(['"]?)([A-Za-z-]+)\s*:(.*)$`)

	// curlHeader stands before a header in the arguments of curl.
	curlHeader = regexp.MustCompile(`(^|\s)(-H|--header)[\s=]*(['"])`)

	scheme = regexp.MustCompile(`(?i)^\s*(?:dpop|bearer)\s+`)
)

// jwtCharacters are those of base64url and the dot, and those that are there by mistake.
const jwtCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/="

// headers finds the headers Authorization and DPoP in a text, whose values may go on in
// the next lines.
func headers(text string) (authorization, proof string) {
	var (
		current *string
		quote   string // that ends the value
	)
	for line := range strings.Lines(curlHeader.ReplaceAllString(text, "\n$3")) {
		line = strings.TrimRight(line, "\r\n")
		if found := headerLine.FindStringSubmatch(line); found != nil {
			quote, line = found[1], found[3]
			switch strings.ToLower(found[2]) {
			case "authorization":
				current = &authorization
			case "dpop":
				current = &proof
			default:
				current = nil
			}
		} else if strings.Trim(line, jwtCharacters+" \t'\"\\") != "" {
			current = nil
		}
		if current == nil {
			continue
		}
		ended := false
		if quote != "" {
			line, _, ended = strings.Cut(line, quote)
		}
		if *current += line; ended {
			current = nil
		}
	}
	return jwtIn(authorization), jwtIn(proof)
}

// jwtIn is a JWT without the scheme in front of it, and without what pasting has put in and
// around it.
func jwtIn(text string) string {
	text = scheme.ReplaceAllString(strings.Trim(text, " \t\r\n'\"`\\,;"), "")
	return strings.Join(strings.Fields(text), "")
}

// onlyToken is the access token in a text.
func onlyToken(text string) string {
	if token, _ := headers(text); token != "" {
		return token
	}
	return tokenAmong(text)
}

// tokenAmong is the JWT that a text consists of, or else the one that has lines of its own
// among others. Without any it is the text itself, as if pasted.
func tokenAmong(text string) string {
	whole := jwtIn(text)
	if strings.Trim(whole, jwtCharacters) == "" {
		return whole
	}
	var (
		found  strings.Builder
		inside bool
	)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		begins := found.Len() == 0 && strings.HasPrefix(line, "eyJ")
		inside = line != "" && strings.Trim(line, jwtCharacters) == "" && (inside || begins)
		if inside {
			found.WriteString(line)
		}
	}
	if found.Len() == 0 {
		return whole
	}
	return found.String()
}
