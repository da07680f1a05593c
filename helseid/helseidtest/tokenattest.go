package helseidtest

import (
	"encoding/json"
	"fmt"

	"github.com/helseid-go/sdk/clientassertion"
)

// What HelseID adds to an attest from registers. The texts say that they are
// none of a real register's.
const (
	systemIdentityNumber = "urn:oid:2.16.578.1.12.4.1.4.1"
	systemHPRNumber      = "urn:oid:2.16.578.1.12.4.1.4.4"
	registerText         = "helseidtest"
)

// Attest puts the trust framework's attest into the token, completed as HelseID
// does: with the time of attestation, with who the practitioner is by the
// token's claims of the user, and with names, texts, authorities and assigners.
// Patients get no identifier, since the attest has none: use Claim, after
// this, for a token that says more. Server.Token panics if the attest is not complete.
//
// Source: Norsk helsenett, Tillitsrammeverk, information and data model.
func Attest(attest clientassertion.Attest) TokenOption {
	return func(s *tokenSpec) {
		detail, err := attest.Detail()
		if err != nil {
			s.fail(err)
			return
		}
		s.claims[detailAttest] = pendingClaim(func(s *tokenSpec) (any, error) { return completedAttest(detail, s.claims) })
	}
}

// completedAttest turns a detail into the claim.
func completedAttest(detail clientassertion.Detail, claims map[string]any) (map[string]any, error) {
	data, err := json.Marshal(detail)
	if err != nil {
		return nil, err
	}
	var attest map[string]any
	if err := json.Unmarshal(data, &attest); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	delete(attest, "type")
	attest["toa"] = claims["iat"]
	describe(attest)
	practitioner, _ := attest["practitioner"].(map[string]any)
	if number, ok := claims[claimPID].(string); ok {
		practitioner["identifier"] = map[string]any{
			"id": number, "name": claims["name"], "system": systemIdentityNumber, "authority": registerText,
		}
	}
	if number, ok := claims[claimHPRNumber].(string); ok {
		practitioner["hpr_nr"] = map[string]any{"id": number, "system": systemHPRNumber, "authority": registerText}
	}
	return attest, nil
}

// describe adds what registers know to each code and each identifier with a
// system.
func describe(value any) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			describe(element)
		}
	case map[string]any:
		for _, member := range value {
			describe(member)
		}
		if value["system"] == nil {
			return
		}
		if code, ok := value["code"].(string); ok {
			value["text"], value["assigner"] = registerText+" "+code, registerText
		}
		if id, ok := value["id"].(string); ok {
			value["name"], value["authority"] = registerText+" "+id, registerText
		}
	}
}
