package otelhelseid

// refusals are the reasons with which package middleware and those below it refuse a
// request. A test compares them, and the failures, with their source.
var refusals = []string{
	// Of requests, and of calls by package grpcauth.
	"no_credentials", "authorization_repeated", "authorization_scheme", "proof_missing", "proof_repeated", "proof_unexpected",
	"token_in_query", "target_too_long", "token_binding", "original_request", "method_unlisted",

	// Of tokens.
	"token_malformed", "token_too_long", "token_typ", "token_alg", "token_unknown_key", "token_signature", "token_issuer",
	"token_audience", "token_expired", "token_not_yet_valid", "token_times", "token_actors", "token_subject",

	// Of proofs.
	"proof_malformed", "proof_too_long", "proof_typ", "proof_alg", "proof_jwk", "proof_key_mismatch", "proof_jti", "proof_htm",
	"proof_htu", "proof_iat", "proof_ath", "proof_nonce", "proof_signature", "proof_replayed", "proof_before_start",

	// Of requirements.
	"scope", "user", "system", "security_level", "assurance_level", "authentication_age", "hpr_number", "profession",
	"parent_organization", "child_organization", "supplier_organization", "organization", "attest_missing",
	"attestation_has_expired", "requirement",
}

// failures are the reasons that the caller is not to blame for.
var failures = []string{"keys_unavailable", "replay_store_unavailable", "lookup_unavailable", "misconfigured", "panicked"}
