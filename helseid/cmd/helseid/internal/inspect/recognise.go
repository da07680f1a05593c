package inspect

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/jose"
)

// kind is what the input is. The values are stable.
type kind string

const (
	kindAccessToken   kind = "access_token"
	kindIDToken       kind = "id_token"
	kindLogoutToken   kind = "logout_token"
	kindProof         kind = "dpop_proof"
	kindAssertion     kind = "client_assertion"
	kindRequestObject kind = "request_object"
	kindJWK           kind = "jwk"
	kindJWKS          kind = "jwks"
	kindPEM           kind = "pem"
	kindConfiguration kind = "configuration"
	kindUnknown       kind = "unknown"
)

var jwtKinds = []kind{kindAccessToken, kindIDToken, kindLogoutToken, kindProof, kindAssertion, kindRequestObject}

func (k kind) isJWT() bool { return slices.Contains(jwtKinds, k) }

func kindsOfJWT() []string {
	names := make([]string, len(jwtKinds))
	for i, known := range jwtKinds {
		names[i] = string(known)
	}
	return names
}

// recognised is an input whose kind is known. For what has not, the text says so.
type recognised struct {
	kind kind
	text string
}

// recognise finds out what the input is. Two headers are two inputs.
func recognise(data []byte, asked kind) []recognised {
	if unwrapped := jose.UnwrapJSON(data); len(unwrapped) > 0 && unwrapped[0] == '{' {
		if tokens := tokensOfJSON(unwrapped, asked); tokens != nil {
			return tokens
		}
		found := recogniseJSON(string(unwrapped))
		if found.kind == kindConfiguration {
			found.text = string(data) // it must be readable as it is
		}
		return []recognised{found}
	}
	text := string(data)
	switch {
	case strings.Contains(text, "-----BEGIN "):
		return []recognised{{kindPEM, text}}
	case isDER(data):
		return []recognised{{kindUnknown, "it is binary, such as a key as DER or a file .p12: write it as PEM, with openssl pkey -inform DER -in FILE, or openssl pkcs12 -nodes -in FILE"}}
	}
	token, proof := headers(text)
	if token != "" && proof != "" {
		asked = ""
	}
	var found []recognised
	for _, value := range []string{token, proof} {
		if value != "" {
			found = append(found, recogniseJWT(value, asked))
		}
	}
	if found == nil && severalTokens(text) {
		return []recognised{{kindUnknown, "it holds several tokens: give one at a time"}}
	}
	if found == nil {
		found = append(found, recogniseJWT(tokenAmong(text), asked))
	}
	return found
}

// isDER reports that data begin as a sequence of ASN.1 whose length takes two bytes, as
// that of keys and certificates does.
func isDER(data []byte) bool { return bytes.HasPrefix(data, []byte{0x30, 0x82}) }

// severalTokens reports that there are several whole tokens on lines of their own.
func severalTokens(text string) bool {
	tokens := 0
	for field := range strings.FieldsSeq(text) {
		if strings.HasPrefix(field, "eyJ") && strings.Count(field, ".") == 2 {
			tokens++
		}
	}
	return tokens > 1
}

// tokensOfJSON are the tokens in a response of the token endpoint (RFC 6749 section 5.1),
// in one of Test-Token-Tjenesten, and in what "helseid token -show-token -json" prints.
func tokensOfJSON(text []byte, asked kind) []recognised {
	var response struct {
		AccessToken     string `json:"access_token"`
		IDToken         string `json:"id_token"`
		Token           string `json:"token"`
		SuccessResponse struct{ AccessTokenJwt, DPoPProof string }
	}
	_ = json.Unmarshal(text, &response) // lenient: what is a text is looked at
	test := response.SuccessResponse
	if test.AccessTokenJwt != "" && test.DPoPProof != "" || response.AccessToken != "" && response.IDToken != "" {
		asked = ""
	}
	var found []recognised
	for _, token := range []string{response.AccessToken, response.IDToken, response.Token, test.AccessTokenJwt, test.DPoPProof} {
		if strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2 {
			found = append(found, recogniseJWT(token, asked))
		}
	}
	return found
}

// configurationNames are members of a configuration file, and sections with one.
var configurationNames = []string{
	"clientId", "authority", "privateJwk", "rsaPrivateKey", "HelseID", "HelseIdConfiguration", "HelseIdWebKonfigurasjon", "HelseIdWorkerKonfigurasjon",
}

func recogniseJSON(text string) recognised {
	var members map[string]json.RawMessage
	_ = json.Unmarshal([]byte(text), &members) // lenient: what is wrong is said later
	has := func(name string) bool {
		if members == nil {
			return strings.Contains(strings.ToLower(text), `"`+strings.ToLower(name)+`"`)
		}
		for found := range members {
			if strings.EqualFold(found, name) {
				return true
			}
		}
		return false
	}
	// A file that cannot be read may hold a key anywhere, so its other names come first.
	if slices.ContainsFunc(configurationNames, has) {
		return recognised{kindConfiguration, text}
	}
	switch {
	case has("keys"):
		return recognised{kindJWKS, text}
	case has("kty"):
		return recognised{kindJWK, text}
	}
	return recognised{kindUnknown, "it is JSON, but neither a JWK (kty), a key set (keys) nor a configuration file (clientId)"}
}

func recogniseJWT(jwt string, asked kind) recognised {
	switch dots := strings.Count(jwt, "."); {
	case jwt == "":
		return recognised{kindUnknown, "the input is empty"}
	case dots == 4 && strings.HasPrefix(jwt, "eyJ"):
		return recognised{kindUnknown, "it is encrypted (JWE, five parts): only whoever has the key can read it"}
	case dots != 2 || strings.Trim(jwt, jwtCharacters) != "":
		return recognised{kindUnknown, "it is neither a JWT (three parts with dots between), JSON nor PEM: a refresh token or a code says nothing that can be read"}
	case asked != "":
		return recognised{asked, jwt}
	}
	header, claims := membersOf(jwt)
	return recognised{kindOfJWT(header, claims), jwt}
}

// membersOf reads a JWT leniently.
func membersOf(jwt string) (header, claims map[string]any) {
	headerJSON, claimsJSON, err := jwtview.Decode(jwt)
	if err == nil {
		_ = json.Unmarshal(headerJSON, &header)
		_ = json.Unmarshal(claimsJSON, &claims)
	}
	return header, claims
}

// kindOfJWT goes by the type, and by the claims if the type does not tell.
func kindOfJWT(header, claims map[string]any) kind {
	hasAny := func(names ...string) bool {
		for _, name := range names {
			if _, ok := claims[name]; ok {
				return true
			}
		}
		return false
	}
	typ, _ := header["typ"].(string)
	switch jose.MediaType(typ) {
	case "dpop+jwt":
		return kindProof
	case "at+jwt":
		return kindAccessToken
	case "logout+jwt":
		return kindLogoutToken
	case "oauth-authz-req+jwt":
		return kindRequestObject
	case "client-authentication+jwt": // also that of request objects
		if !hasAny("sub") && hasAny("client_id", "authorization_details") {
			return kindRequestObject
		}
		return kindAssertion
	}
	_, embedded := header["jwk"]
	issuer, _ := claims["iss"].(string)
	switch {
	case embedded || hasAny("htm", "htu", "ath"):
		return kindProof
	case hasAny("events"):
		return kindLogoutToken
	case hasAny("response_type", "redirect_uri"):
		return kindRequestObject
	case issuer != "" && issuer == claims["sub"]:
		return kindAssertion
	case hasAny("scope", "cnf", "client_amr"):
		return kindAccessToken
	case hasAny("nonce", "at_hash", "auth_time", "azp") || hasAny("sub") && !hasAny("client_id"):
		return kindIDToken
	}
	return kindAccessToken
}
