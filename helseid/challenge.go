package helseid

import (
	"net/http"
	"strings"
)

const (
	maxChallengeBytes = 16 << 10
	maxChallenges     = 32
)

// challenge is one challenge of a WWW-Authenticate header, with names in lower
// case.
type challenge struct {
	scheme     string
	parameters map[string]string
}

// dpopError returns the error code of the response's DPoP challenge, or "". A
// header that does not parse has no challenge.
func dpopError(header http.Header) string {
	for _, challenge := range parseChallenges(header.Values("WWW-Authenticate")) {
		if challenge.scheme == "dpop" && challenge.parameters["error"] != "" {
			return challenge.parameters["error"]
		}
	}
	return ""
}

// parseChallenges reads the challenges of RFC 9110 section 11.6.1. Servers
// write several in one field, or one in each of several fields. Reading stops
// at the first fault; what was complete before it counts.
func parseChallenges(fields []string) []challenge {
	var challenges []challenge
	total := 0
	for _, field := range fields {
		if total += len(field); total > maxChallengeBytes {
			break
		}
		scanner := challengeScanner{text: field}
		for len(challenges) < maxChallenges {
			challenge, ok := scanner.challenge()
			if !ok {
				break
			}
			challenges = append(challenges, challenge)
		}
	}
	return challenges
}

type challengeScanner struct {
	text string
}

func (s *challengeScanner) challenge() (challenge, bool) {
	s.skip(" \t,")
	scheme := s.token()
	if scheme == "" {
		return challenge{}, false
	}
	found := challenge{scheme: strings.ToLower(scheme), parameters: map[string]string{}}
	s.skip(" \t")
	for {
		before := s.text
		s.skip(" \t,")
		name := s.token()
		s.skip(" \t")
		if name == "" || !s.consume('=') || strings.HasPrefix(s.text, "=") {
			// Not name=value: the scheme of the next challenge, or a token68.
			s.text = before
			s.token68()
			return found, true
		}
		s.skip(" \t")
		value, ok := s.value()
		if !ok {
			s.text = ""
			return found, false
		}
		name = strings.ToLower(name)
		if _, duplicate := found.parameters[name]; duplicate {
			s.text = ""
			return found, false
		}
		found.parameters[name] = value
		if s.skip(" \t"); s.text != "" && s.text[0] != ',' {
			s.text = ""
			return found, true
		}
	}
}

func (s *challengeScanner) skip(set string) { s.text = strings.TrimLeft(s.text, set) }

func (s *challengeScanner) consume(c byte) bool {
	if s.text == "" || s.text[0] != c {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *challengeScanner) token() string {
	end := 0
	for end < len(s.text) && isTokenChar(s.text[end]) {
		end++
	}
	token := s.text[:end]
	s.text = s.text[end:]
	return token
}

// token68 skips the credentials form that has padding instead of parameters.
func (s *challengeScanner) token68() {
	end := strings.IndexAny(s.text, " \t,")
	if end < 0 {
		end = len(s.text)
	}
	if strings.HasSuffix(s.text[:end], "=") {
		s.text = s.text[end:]
	}
}

func (s *challengeScanner) value() (string, bool) {
	if !s.consume('"') {
		token := s.token()
		return token, token != ""
	}
	var value strings.Builder
	for i := 0; i < len(s.text); i++ {
		switch c := s.text[i]; c {
		case '"':
			s.text = s.text[i+1:]
			return value.String(), true
		case '\\':
			if i++; i < len(s.text) {
				value.WriteByte(s.text[i])
			}
		default:
			value.WriteByte(c)
		}
	}
	return "", false
}

func isTokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
