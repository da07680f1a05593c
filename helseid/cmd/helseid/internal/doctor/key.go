package doctor

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/redact"
)

// checkKey looks at the private key in the file.
func checkKey(_ context.Context, s *state) result {
	switch {
	case s.data == nil:
		return skip("the file could not be read")
	case len(s.keyFaults) == 0 && s.config.Key == nil:
		return skip("the members could not be read")
	case len(s.keyFaults) == 0:
		return good("%s", describeKey(s.config.Key))
	}
	var found result
	for _, fault := range s.keyFaults {
		found.add(fault.Error(), s.keyRemedy(fault))
	}
	return found
}

// keyRemedy says where the mend goes. What it is, the fault says itself.
func (s *state) keyRemedy(fault error) string {
	if name := s.memberWithPEM(); name != "" {
		return "There is PEM in the member " + name + " of " + s.file() + ": move the text to the member privateJwk."
	}
	text := fault.Error()
	switch {
	case strings.Contains(text, "is missing") || strings.Contains(text, "holds no private key"):
		return "Add the private key to " + s.file() + ` as "privateJwk": a JWK, or PEM as a string with \n for line ends.`
	case strings.Contains(text, "signature algorithm"):
		return "Change alg of the JWK in the member privateJwk of " + s.file() + ": PS256 for an RSA key, and for an EC key that of its curve, ES256, ES384 or ES512. " +
			"It must be the alg that the public key is registered with in HelseID Selvbetjening."
	case strings.Contains(text, "bits"):
		return "Make a new key, with helseid key new, register its public half in HelseID Selvbetjening, and put the private one into the member privateJwk of " + s.file() + "."
	case strings.Contains(text, "JWK's use"):
		return "If the key is the client's, write \"use\": \"sig\" in the JWK in the member privateJwk of " + s.file() + ". A key for encryption is another one."
	case strings.Contains(text, "key_ops"):
		return "If the key is the client's, write \"key_ops\": [\"sign\"] in the JWK in the member privateJwk of " + s.file() + ", or leave key_ops out."
	case strings.Contains(text, "member kid"):
		return "Write kid of the JWK in the member privateJwk of " + s.file() + " as HelseID Selvbetjening shows it, in quotes, or leave it out if that is the key's thumbprint."
	case strings.Contains(text, "is encrypted"):
		return "Decrypt the key as the text says, and put it into the member privateJwk of " + s.file() + ". The file's mode 0600 protects it there."
	case strings.Contains(text, "neither a JWK"):
		return "Put the text of the key itself, not the name of its file, into the member privateJwk of " + s.file() + "."
	}
	return "Put the client's private key, as a JWK or as PEM, into the member privateJwk of " + s.file() + "."
}

// memberWithPEM finds PEM that stands in the wrong member.
func (s *state) memberWithPEM() string {
	object, err := jose.ParseObject(jose.UnwrapJSON(s.data))
	if err != nil {
		return ""
	}
	for _, name := range object.Names() {
		if text, ok := object.Get(name).Text(); ok && name != "privateJwk" && strings.Contains(text, "-----BEGIN ") {
			return redact.Text(name)
		}
	}
	return ""
}

func describeKey(key *clientassertion.Key) string {
	kid := plain(key.ID())
	if key.ID() == key.Thumbprint() {
		kid += " (its thumbprint)"
	}
	return fmt.Sprintf("%s, %s, kid %s", strength(key), key.Algorithm(), kid)
}

// strength is the type of a key and its size.
func strength(key *clientassertion.Key) string {
	public, err := jose.ParseObject(key.PublicJWK())
	if err != nil {
		return "a key"
	}
	if curve, ok := public.Get("crv").Text(); ok {
		return "EC key on " + curve
	}
	modulus, _ := public.Get("n").Text()
	decoded, err := base64.RawURLEncoding.DecodeString(modulus)
	if err != nil {
		return "RSA key"
	}
	return fmt.Sprintf("RSA key of %d bits", len(decoded)*8)
}
