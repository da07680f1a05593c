package mint

import (
	"encoding/json"
	"fmt"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
)

// Attest adds the trust framework's attest to the token and completes it as HelseID
// does: with the time of attestation, with the practitioner's identity from the token's
// claims about the user, and with names, texts, authorities and assigners. Patients get
// no identifier, since the attest has none: use [Claim] after this option for a token
// that has one. helseidtest.Server.Token panics if the attest is not complete.
//
// Source: Norsk helsenett, Tillitsrammeverk, information and data model.
func Attest(attest clientassertion.Attest) TokenOption {
	return func(s *tokenSpec) {
		detail, err := attest.Detail()
		if err != nil {
			s.fail(err)
			return
		}
		ClaimOf(claim.Attest, func(claims map[string]any) (any, error) { return completedAttest(detail, claims) })(s)
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
	if number, ok := claims[claim.PID].(string); ok {
		practitioner["identifier"] = map[string]any{
			"id": number, "name": claims["name"], "system": claim.SystemIdentityNumber, "authority": claim.RegisterText,
		}
	}
	if number, ok := claims[claim.HPRNumber].(string); ok {
		practitioner["hpr_nr"] = map[string]any{"id": number, "system": claim.SystemHPRNumber, "authority": claim.RegisterText}
	}
	return attest, nil
}

// describe adds the data that registers have to each code and each identifier with a
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
			value["text"], value["assigner"] = claim.RegisterText+" "+code, claim.RegisterText
		}
		if id, ok := value["id"].(string); ok {
			value["name"], value["authority"] = claim.RegisterText+" "+id, claim.RegisterText
		}
	}
}
