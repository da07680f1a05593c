package inspect

// words is what the input is, in words.
func (k kind) words() string {
	return map[kind]string{
		kindAccessToken:   "an access token",
		kindIDToken:       "an ID token",
		kindLogoutToken:   "a logout token",
		kindProof:         "a DPoP proof",
		kindAssertion:     "a client assertion",
		kindRequestObject: "a request object",
		kindJWK:           "a key (JWK)",
		kindJWKS:          "a key set (JWKS)",
		kindPEM:           "a key or certificate (PEM)",
		kindConfiguration: "a client's configuration file",
		kindUnknown:       "not recognised",
	}[k]
}

// phrases say what it means that a rule is kept.
var phrases = map[string]string{
	"token_malformed":     "it is a JWS in compact form with strict JSON",
	"token_too_long":      "it is no longer than what is read",
	"token_typ":           "the header typ is that of such a token",
	"token_alg":           "the header alg is one that HelseID may use",
	"token_unknown_key":   "the header kid names a key",
	"token_signature":     "the signature verifies with the issuer's key",
	"token_issuer":        "iss is the issuer",
	"token_audience":      "aud names one recipient, and the right one",
	"token_expired":       "exp has not passed",
	"token_not_yet_valid": "nbf and iat have passed",
	"token_times":         "exp is there, and the times are numbers",
	"token_actors":        "it has been exchanged ten times at most",
	"token_binding":       "cnf, if it is there, names a DPoP key",

	"id_token_nonce":   "nonce is that of the login",
	"id_token_at_hash": "at_hash, if it is there, is that of the access token",
	"id_token_azp":     "azp, if it is there, is the client",
	"id_token_subject": "sub is a person",

	"logout_token_claims": "events, iat and jti are there, sub or sid too, and no nonce",

	"proof_malformed":    "it is a JWS in compact form with strict JSON",
	"proof_too_long":     "it is no longer than what is read",
	"proof_typ":          "the header typ is dpop+jwt",
	"proof_alg":          "the header alg is one that HelseID permits, and fits the key",
	"proof_jwk":          "the header jwk is one public key, strong enough",
	"proof_key_mismatch": "the access token is bound to this key",
	"proof_jti":          "jti is there",
	"proof_htm":          "htm is the method",
	"proof_htu":          "htu is the URL",
	"proof_iat":          "iat is close to the time",
	"proof_ath":          "ath is the hash of the access token",
	"proof_nonce":        "nonce is as it must be",
	"proof_signature":    "the signature verifies with the header's key",

	"assertion_malformed":     "it is a JWS in compact form with strict JSON",
	"assertion_too_long":      "it is no longer than what is read",
	"assertion_typ":           "the header typ is client-authentication+jwt",
	"assertion_alg":           "the header alg is one that HelseID permits",
	"assertion_issuer":        "iss is the client id",
	"assertion_subject":       "sub is the client id, too",
	"assertion_client_id":     "client_id is the client id, too",
	"assertion_audience":      "aud is the issuer, as one string",
	"assertion_jti":           "jti is there",
	"assertion_times":         "the times are numbers",
	"assertion_lifetime":      "it lives 60 seconds at most",
	"assertion_expired":       "exp has not passed",
	"assertion_not_yet_valid": "iat and nbf have passed",
	"assertion_details":       "the details have the form that HelseID reads",

	"key_json":    "it is strict JSON",
	"key_members": "its members make one usable key",
	"key_use":     "its use is signatures",
	"key_alg":     "its alg fits it",
	"key_kid":     "its kid is a text",

	"jwks_json": "it is strict JSON",
	"jwks_keys": "keys is a list",

	"configuration": "it has all that a client needs",
}
