// Package wwwauth parses the header WWW-Authenticate (RFC 9110 section 11.6.1), in
// which a server says why it has refused a request.
package wwwauth

import "strings"

const (
	maxBytes      = 16 << 10
	maxChallenges = 32
)

// Challenge is one challenge of the header, with names in lower case.
type Challenge struct {
	Scheme     string
	Parameters map[string]string
}

// Parse parses the challenges in the fields of the header. A server may write several
// challenges in one field, or one in each of several fields. Parsing of a field stops
// at the first error; complete challenges before it are returned.
func Parse(fields []string) []Challenge {
	var challenges []Challenge
	total := 0
	for _, field := range fields {
		if total += len(field); total > maxBytes {
			break
		}
		scan := scanner{text: field}
		for len(challenges) < maxChallenges {
			challenge, ok := scan.challenge()
			if !ok {
				break
			}
			challenges = append(challenges, challenge)
		}
	}
	return challenges
}

type scanner struct {
	text string
}

// challenge parses scheme [ 1*SP ( token68 / #auth-param ) ]. A challenge that does not
// match ends the parsing of its field.
func (s *scanner) challenge() (Challenge, bool) {
	s.skip(" \t,")
	scheme := s.token()
	if scheme == "" {
		return Challenge{}, false
	}
	if s.text != "" && !strings.Contains(" \t,", s.text[:1]) {
		s.text = ""
		return Challenge{}, false
	}
	found := Challenge{Scheme: strings.ToLower(scheme), Parameters: map[string]string{}}
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
		_, duplicate := found.Parameters[name]
		if !ok || duplicate {
			s.text = ""
			return Challenge{}, false
		}
		found.Parameters[name] = value
		if s.skip(" \t"); !s.atSeparator() {
			s.text = ""
			return found, true
		}
	}
}

func (s *scanner) atSeparator() bool { return s.text == "" || s.text[0] == ',' }

func (s *scanner) skip(set string) { s.text = strings.TrimLeft(s.text, set) }

func (s *scanner) consume(c byte) bool {
	if s.text == "" || s.text[0] != c {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *scanner) token() string {
	end := 0
	for end < len(s.text) && isTokenChar(s.text[end]) {
		end++
	}
	token := s.text[:end]
	s.text = s.text[end:]
	return token
}

// token68 skips credentials in the token68 form, which replace the parameters:
// characters and padding up to a comma or the end.
func (s *scanner) token68() bool {
	rest := strings.TrimLeft(s.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/")
	if len(rest) == len(s.text) {
		return false
	}
	after := scanner{strings.TrimLeft(rest, "=")}
	if after.skip(" \t"); !after.atSeparator() {
		return false
	}
	s.text = after.text
	return true
}

func (s *scanner) value() (string, bool) {
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
