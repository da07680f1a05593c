package helseid

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/internal/claims"
)

// CodeExchange are structured details for the access token that the login itself
// gives. They are part of the client assertion with which the code is exchanged, and
// of no later one. That token is only used for requests with the same details, and is
// for the first of [LoginRequest.Resources]. Printed, logged or marshalled they read
// "[redacted]".
//
// Source: HelseID's pages on the attest (its second flow) and on SFM journals.
type CodeExchange struct {
	unprintable

	// JournalID, Attest and Details are as in [TokenRequest].
	JournalID string
	Attest    *clientassertion.Attest
	Details   []clientassertion.Detail

	// OrganizationDespiteHID1009 names an organisation. HelseID's sources disagree on
	// whether it accepts one here, and its error HID-1009 says that it does not.
	// Prefer to name organisations in token requests ([ForOrganization]), which needs
	// no new login.
	OrganizationDespiteHID1009 clientassertion.Organization
}

// details returns the exchange's details, in the same order as those of a token
// request.
func (e *CodeExchange) details(make detailsOf) ([]clientassertion.Detail, error) {
	for _, detail := range e.Details {
		if detail.Type() == claims.OrganizationType {
			return nil, errors.New("field CodeExchange: field Details names an organisation, which HelseID refuses there (HID-1009): use ForOrganization for the calls")
		}
	}
	details, err := make(TokenRequest{
		Organization: e.OrganizationDespiteHID1009, JournalID: e.JournalID, Attest: e.Attest, Details: e.Details,
	}, false)
	if err != nil {
		return nil, fmt.Errorf("field CodeExchange: %w", err)
	}
	return details, nil
}

// encodeDetails encodes details for a login state.
func encodeDetails(details []clientassertion.Detail) []json.RawMessage {
	var encoded []json.RawMessage
	for _, detail := range details {
		encoded = append(encoded, json.RawMessage(detail.String()))
	}
	return encoded
}

// codeDetails returns the details for the exchange of this login's code.
func (s *LoginState) codeDetails() ([]clientassertion.Detail, error) {
	var details []clientassertion.Detail
	for _, encoded := range s.wire().CodeDetails {
		detail, err := clientassertion.ParseDetail(encoded)
		if err != nil {
			return nil, errNoLoginState
		}
		details = append(details, detail)
	}
	return details, nil
}
