package helseid

import (
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

// challenge reads scheme [ 1*SP ( token68 / #auth-param ) ]. One that does not
// fit ends the reading of its field.
func (s *challengeScanner) challenge() (challenge, bool) {
	s.skip(" \t,")
	scheme := s.token()
	if scheme == "" {
		return challenge{}, false
	}
	if s.text != "" && !strings.Contains(" \t,", s.text[:1]) {
		s.text = ""
		return challenge{}, false
	}
	found := challenge{scheme: strings.ToLower(scheme), parameters: map[string]string{}}
	if s.skip(" \t"); s.token68() {
		return found, true
	}
	for {
		before := s.text
		s.skip(" \t,")
		name := s.token()
		s.skip(" \t")
		if name == "" || !s.consume('=') {
			s.text = before // the scheme of the next challenge, or the end
			return found, true
		}
		s.skip(" \t")
		value, ok := s.value()
		name = strings.ToLower(name)
		_, duplicate := found.parameters[name]
		if !ok || duplicate {
			s.text = ""
			return challenge{}, false
		}
		found.parameters[name] = value
		if s.skip(" \t"); !s.atSeparator() {
			s.text = ""
			return found, true
		}
	}
}

func (s *challengeScanner) atSeparator() bool { return s.text == "" || s.text[0] == ',' }

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

// token68 skips the form of credentials that stands in place of parameters, if
// that is what comes: characters and padding up to a comma or the end.
func (s *challengeScanner) token68() bool {
	rest := strings.TrimLeft(s.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
	if len(rest) == len(s.text) {
		return false
	}
	after := challengeScanner{strings.TrimLeft(rest, "=")}
	if after.skip(" \t"); !after.atSeparator() {
		return false
	}
	s.text = after.text
	return true
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
