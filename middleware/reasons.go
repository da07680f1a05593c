package middleware

// The reasons why requirements refuse a caller, in Denial.Reason and in the
// member reason of the answer. They do not change. The reasons for tokens and
// proofs are those of packages tokenvalidation and dpop; beside them there are
// no_credentials, authorization_repeated, authorization_scheme, proof_missing,
// proof_repeated, proof_unexpected, token_in_query, target_too_long, token_binding
// and original_request, and with status 503 keys_unavailable, replay_store_unavailable
// and lookup_unavailable. In the audit record alone there is panicked, with status 500:
// what a check or a requirement has come to that has panicked.
const (
	// ReasonScope: a scope is missing.
	ReasonScope = "scope"

	// ReasonUser: the token is a system's and a user is needed.
	ReasonUser = "user"

	// ReasonSystem: the token is a user's and a system's is needed.
	ReasonSystem = "system"

	// ReasonSecurityLevel: the user must log in at a higher security level.
	ReasonSecurityLevel = "security_level"

	// ReasonAssuranceLevel: the user's assurance level is too low.
	ReasonAssuranceLevel = "assurance_level"

	// ReasonAuthenticationAge: the user must log in anew.
	ReasonAuthenticationAge = "authentication_age"

	// ReasonHPRNumber: the user has no HPR number.
	ReasonHPRNumber = "hpr_number"

	// ReasonProfession: the attest lacks the profession.
	ReasonProfession = "profession"

	// ReasonParentOrganization: another parent organisation, or none.
	ReasonParentOrganization = "parent_organization"

	// ReasonChildOrganization: another child organisation, or none.
	ReasonChildOrganization = "child_organization"

	// ReasonSupplierOrganization: another supplier, or none.
	ReasonSupplierOrganization = "supplier_organization"

	// ReasonOrganization: the organisation is none that is let in.
	ReasonOrganization = "organization"

	// ReasonAttestMissing: the token has no attest.
	ReasonAttestMissing = "attest_missing"

	// ReasonAttestExpired: the attest is older than 60 minutes.
	ReasonAttestExpired = "attestation_has_expired"

	// ReasonRequirement: a requirement of the API's own.
	ReasonRequirement = "requirement"
)
