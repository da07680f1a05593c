package claims

import "time"

// The types of the details that HelseID defines for requests.
const (
	// AttestType is the trust framework's attest. The claim of a token that states the
	// attest has the same name.
	AttestType = "nhn:tillitsrammeverk:parameters"

	// OrganizationType names the organisation that a token is for.
	OrganizationType = "helseid_authorization"
)

// AttestLifetime is how long an attest may be used (ATT-58 of the trust framework's
// business rules).
const AttestLifetime = 60 * time.Minute
