package helseid_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/internal/testkit"
)

// TestMain fails if the suite writes a secret to the process's log.
func TestMain(m *testing.M) { testkit.RunLogged(m, secrets.find) }

// secretSet holds the credentials that the suite has seen: assertions, proofs,
// access tokens and key material.
type secretSet struct {
	mu    sync.Mutex
	parts map[string][]secretPart // by their first characters
}

// secretPart is a telling part of a credential.
type secretPart struct{ text, kind string }

const partPrefix = 8

var secrets = secretSet{parts: make(map[string][]secretPart)}

// add remembers a credential by its parts, so that a cut one is found too. A
// JWS's header is no secret, its signature and its payload are.
func (s *secretSet) add(kind, credential string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const enough = 24
	for i, part := range strings.Split(credential, ".") {
		if len(part) < partPrefix || i == 0 && strings.HasPrefix(part, "eyJ") {
			continue
		}
		for _, text := range []string{part[:min(len(part), enough)], part[max(0, len(part)-enough):]} {
			prefix := text[:partPrefix]
			if found := (secretPart{text, kind}); !slices.Contains(s.parts[prefix], found) {
				s.parts[prefix] = append(s.parts[prefix], found)
			}
		}
	}
}

// addKey remembers the private members of a JWK.
func (s *secretSet) addKey(kind string, jwk []byte) {
	var members map[string]any
	if json.Unmarshal(jwk, &members) != nil {
		return
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		if text, ok := members[name].(string); ok {
			s.add(kind+" ("+name+")", text)
			if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil {
				s.add(kind+" (hex)", fmt.Sprintf("%x", raw))
			}
		}
	}
}

var (
	identityNumber = regexp.MustCompile(`(^|[^0-9A-Fa-f-])[0-9]{11}($|[^0-9A-Fa-f])`)
	jwsLike        = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}[.]`)
)

// find says which secret a text holds, without repeating it.
func (s *secretSet) find(text string) string {
	if identityNumber.MatchString(text) {
		return "something like a national identity number"
	}
	if jwsLike.MatchString(text) {
		return "something like a JWS"
	}
	return s.findPart(text)
}

// findPart looks for the credentials themselves only.
func (s *secretSet) findPart(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i+partPrefix <= len(text); i++ {
		for _, part := range s.parts[text[i:i+partPrefix]] {
			if strings.HasPrefix(text[i:], part.text) {
				return "a part of a " + part.kind
			}
		}
	}
	return ""
}

// requireNoSecret checks everything that people print of an error or value.
func requireNoSecret(t testing.TB, value any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%s", "%q"} {
		if found := secrets.find(fmt.Sprintf(verb, value)); found != "" {
			require.FailNow(t, "printed with "+verb+" it holds "+found)
		}
	}
	require.Empty(t, secrets.findPart(fmt.Sprintf("%#v", value))) // addresses are digits too
}

// requireError checks an error's category and that it can be logged.
func requireError(t testing.TB, err, target error) {
	t.Helper()
	requireNoSecret(t, err)
	require.ErrorIs(t, err, target)
}

// assertError does the same in a goroutine that is not the test's.
func assertError(t testing.TB, err, target error) {
	t.Helper()
	assert.Empty(t, secrets.find(fmt.Sprint(err)))
	assert.ErrorIs(t, err, target)
}
