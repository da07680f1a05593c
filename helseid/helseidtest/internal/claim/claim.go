// Package claim has the names and systems that HelseID uses in tokens.
package claim

// Names of claims.
const (
	ClientName     = "helseid://claims/client/client_name"
	ClientTenancy  = "helseid://claims/client/client_tenancy"
	ClientAMR      = "helseid://claims/client/amr"
	SFMID          = "e-helse:sfm.api/client/claims/sfm-id"
	Parent         = "helseid://claims/client/claims/orgnr_parent"
	Child          = "helseid://claims/client/claims/orgnr_child"
	Supplier       = "helseid://claims/client/claims/orgnr_supplier"
	PID            = "helseid://claims/identity/pid"
	PIDPseudonym   = "helseid://claims/identity/pid_pseudonym"
	SecurityLevel  = "helseid://claims/identity/security_level"
	AssuranceLevel = "helseid://claims/identity/assurance_level"
	Network        = "helseid://claims/identity/network"
	HPRNumber      = "helseid://claims/hpr/hpr_number"
	HPRDetails     = "helseid://claims/hpr/hpr_details"
	OnBehalfOf     = "helseid://claims/client/on_behalf_of"
	OriginalClient = "helseid://claims/client/original_client_id"
	JournalID      = "nhn:sfm:journal-id"
	Attest         = "nhn:tillitsrammeverk:parameters"
)

// The data that HelseID adds to an attest from registers. The text marks it as test
// material.
const (
	SystemIdentityNumber = "urn:oid:2.16.578.1.12.4.1.4.1"
	SystemHPRNumber      = "urn:oid:2.16.578.1.12.4.1.4.4"
	RegisterText         = "helseidtest"
)
