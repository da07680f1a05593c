package helseidtest

// Claim names, as HelseID writes them.
const (
	claimClientName     = "helseid://claims/client/client_name"
	claimClientTenancy  = "helseid://claims/client/client_tenancy"
	claimClientAMR      = "helseid://claims/client/amr"
	claimSFMID          = "e-helse:sfm.api/client/claims/sfm-id"
	claimParent         = "helseid://claims/client/claims/orgnr_parent"
	claimChild          = "helseid://claims/client/claims/orgnr_child"
	claimSupplier       = "helseid://claims/client/claims/orgnr_supplier"
	claimPID            = "helseid://claims/identity/pid"
	claimPIDPseudonym   = "helseid://claims/identity/pid_pseudonym"
	claimSecurityLevel  = "helseid://claims/identity/security_level"
	claimAssuranceLevel = "helseid://claims/identity/assurance_level"
	claimNetwork        = "helseid://claims/identity/network"
	claimHPRNumber      = "helseid://claims/hpr/hpr_number"
	claimHPRDetails     = "helseid://claims/hpr/hpr_details"
	claimOnBehalfOf     = "helseid://claims/client/on_behalf_of"
	claimOriginalClient = "helseid://claims/client/original_client_id"
)

// Synthetic values that tokens carry unless told otherwise. The national
// identity number has a month above 80, which no real person's has.
const (
	DefaultParentOrganization     = "994598759"
	DefaultSupplier               = "987654325"
	DefaultPersonalIdentityNumber = "06828399789"
	DefaultHPRNumber              = "565505933"
)
