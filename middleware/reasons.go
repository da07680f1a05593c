package middleware

// The reasons why requirements refuse a caller, in Reason of [Denial] and in the member
// reason of the response. They do not change. The reasons for tokens and proofs are
// those of [tokenvalidation.Reason] and [dpop.Reason]. In addition there are
// no_credentials, authorization_repeated, authorization_scheme, proof_missing,
// proof_repeated, proof_unexpected, token_in_query, target_too_long, token_binding and
// original_request and, with status 503, keys_unavailable, replay_store_unavailable and
// lookup_unavailable. With status 500 there are misconfigured (no caller can meet a
// requirement, because the API is not set up correctly: see Cause of [Record]) and, in
// audit records only, panicked (a check or a requirement panicked).
const (
	// ReasonScope: a required scope is missing.
	ReasonScope = "scope"

	// ReasonUser: the token belongs to a system, and a user is required.
	ReasonUser = "user"

	// ReasonSystem: the token belongs to a user, and a system is required.
	ReasonSystem = "system"

	// ReasonSecurityLevel: the user must log in at a higher security level.
	ReasonSecurityLevel = "security_level"

	// ReasonAssuranceLevel: the user's assurance level is too low.
	ReasonAssuranceLevel = "assurance_level"

	// ReasonAuthenticationAge: the user must log in again.
	ReasonAuthenticationAge = "authentication_age"

	// ReasonHPRNumber: the user has no HPR number.
	ReasonHPRNumber = "hpr_number"

	// ReasonProfession: the attest does not show a required profession.
	ReasonProfession = "profession"

	// ReasonParentOrganization: the parent organisation is another one or missing.
	ReasonParentOrganization = "parent_organization"

	// ReasonChildOrganization: the child organisation is another one or missing.
	ReasonChildOrganization = "child_organization"

	// ReasonSupplierOrganization: the supplier is another one or missing.
	ReasonSupplierOrganization = "supplier_organization"

	// ReasonOrganization: the organisation is not one that the API accepts.
	ReasonOrganization = "organization"

	// ReasonAttestMissing: the token has no attest.
	ReasonAttestMissing = "attest_missing"

	// ReasonAttestExpired: the attest is older than 60 minutes.
	ReasonAttestExpired = "attestation_has_expired"

	// ReasonRequirement: a requirement of the API's own is not met.
	ReasonRequirement = "requirement"
)
