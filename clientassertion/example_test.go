package clientassertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/url"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
)

// The parameters with which a client authenticates in a token request.
func Example() {
	// In a program this is a key from a file, with ParseKey, or in a KMS.
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	key, err := clientassertion.NewKey(private, clientassertion.KeyOptions{KeyID: "my-key"})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := clientassertion.New(clientassertion.Config{
		ClientID: "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11",
		Audience: "https://helseid-sts.test.nhn.no",
		Key:      key,
	})
	if err != nil {
		log.Fatal(err)
	}
	assertion, err := signer.Sign(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key)
	fmt.Println("client_assertion_type =", clientassertion.Type)
	fmt.Println("parts of client_assertion:", len(strings.Split(assertion, ".")))
	// Output:
	// ES256 key my-key
	// client_assertion_type = urn:ietf:params:oauth:client-assertion-type:jwt-bearer
	// parts of client_assertion: 3
}

// An assertion for one request, which names the organisation that the token is for.
func ExampleSigner_Sign() {
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := clientassertion.New(clientassertion.Config{
		ClientID: "6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11",
		Audience: "https://helseid-sts.test.nhn.no",
		Key:      key,
	})
	if err != nil {
		log.Fatal(err)
	}
	detail, err := clientassertion.OrganizationDetail(
		clientassertion.Organization{Parent: "994598759"}, identity.MultiTenant, clientassertion.Variants{})
	if err != nil {
		log.Fatal(err)
	}
	assertion, err := signer.Sign(context.Background(), detail)
	if err != nil {
		log.Fatal(err)
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_id":             {"6d2a1c0e-5f0b-4a57-9a35-0d5f0a7a2f11"},
		"client_assertion_type": {clientassertion.Type},
		"client_assertion":      {assertion},
	}
	fmt.Println(len(form), "parameters")
	// Output: 4 parameters
}

// All mistakes in a configuration are reported at once.
func ExampleNew() {
	_, err := clientassertion.New(clientassertion.Config{Lifetime: 5 * time.Minute})
	fmt.Println(errors.Is(err, clientassertion.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// clientassertion: configuration: field ClientID is required
	// field Audience is required: the issuer of HelseID
	// field Key is required: make it with ParseKey or NewKey
	// field Lifetime is 5m0s: it must be 1s to 1m0s in whole seconds
}

func ExampleParseDetail() {
	detail, err := clientassertion.ParseDetail([]byte(`{
		"type": "nhn:sfm:journal-id",
		"value": {"journal_id": "d3a1a6e2-7d55-4c3f-9b0e-3d5c0e2b7f10"}
	}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.Type())
	// Output: nhn:sfm:journal-id
}

func ExampleParseKey() {
	_, err := clientassertion.ParseKey([]byte(`{"kty":"EC","crv":"P-256","x":"...","y":"..."}`), clientassertion.KeyOptions{})
	fmt.Println(err)
	// Output: unusable signing key: it is a public key: the private JWK with member d is needed
}

// The tenancy of the client decides which organisations are valid.
func ExampleOrganizationDetail() {
	organization := clientassertion.Organization{Parent: "994598759", Child: "999977775"}
	detail, err := clientassertion.OrganizationDetail(organization, identity.MultiTenant, clientassertion.Variants{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.String()) // for Signer.Sign

	_, err = clientassertion.OrganizationDetail(organization, identity.SingleTenant, clientassertion.Variants{})
	fmt.Println(err)
	// Output:
	// {"type":"helseid_authorization","practitioner_role":{"organization":{"identifier":{"system":"urn:oid:1.0.6523","type":"ENH","value":"NO:ORGNR:994598759:999977775"}}}}
	// parent organisation number: a single-tenant client names none, HelseID knows it from the registration
}

func ExampleJournalIDDetail() {
	detail, err := clientassertion.JournalIDDetail("d3a1a6e2-7d55-4c3f-9b0e-3d5c0e2b7f10")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.String()) // for Signer.Sign, beside that of the organisation

	_, err = clientassertion.JournalIDDetail("journal 7")
	fmt.Println(err)
	// Output:
	// {"type":"nhn:sfm:journal-id","value":{"journal_id":"d3a1a6e2-7d55-4c3f-9b0e-3d5c0e2b7f10"}}
	// SFM journal id: it must be a UUID
}

// All mistakes in an attest are reported at once.
func ExampleAttest_Detail() {
	attest := clientassertion.Attest{
		Authorization: clientassertion.Code{Code: "LE"}, // a physician
		LegalEntity:   "994598759",
		PurposeOfUse:  clientassertion.PurposeTreatment,
		DecisionID:    "decision-1",
	}
	detail, err := attest.Detail()
	fmt.Println(detail.Type(), err)

	attest.LegalEntity, attest.DecisionID = "", ""
	_, err = attest.Detail()
	fmt.Println(err)
	// Output:
	// nhn:tillitsrammeverk:parameters <nil>
	// attest: field LegalEntity is required
	// field DecisionID is required
}

// A key is stored before its public half is registered, and read again later.
func ExampleGenerateKey() {
	key, err := clientassertion.GenerateKey(clientassertion.KeyOptions{Kind: clientassertion.P256})
	if err != nil {
		log.Fatal(err)
	}
	private, err := key.MarshalPrivateJWK() // into a secret store, which encrypts it
	if err != nil {
		log.Fatal(err)
	}
	again, err := clientassertion.ParseKey(private, clientassertion.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Algorithm(), again.ID() == key.ID())
	fmt.Println(string(again.PublicJWK()) == string(key.PublicJWK())) // what HelseID gets
	// Output:
	// ES256 true
	// true
}
