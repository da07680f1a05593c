package mint_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
)

// Each option's documentation names the reason with which the middleware refuses what it
// makes.
func TestReasons(t *testing.T) {
	t.Parallel()
	server := helseidtest.NewServer(t, helseidtest.InMemory())
	config := middleware.Config{Issuer: server.Issuer(), Audience: mint.DefaultAudience, PublicURL: "https://api.example.no"}
	config.Token.HTTPClient = server.HTTPClient()
	auth, err := middleware.New(config)
	require.NoError(t, err)
	t.Cleanup(auth.Close)
	reason := func(requirement middleware.Requirement, tokens []mint.TokenOption, proofs []mint.ProofOption) string {
		var requirements []middleware.Requirement
		if requirement != nil {
			requirements = append(requirements, requirement)
		}
		request := httptest.NewRequest(http.MethodGet, "https://api.example.no/things", nil)
		server.Authorize(request, server.Token(append([]mint.TokenOption{mint.Clinician()}, tokens...)...), proofs...)
		response := httptest.NewRecorder()
		auth.Require(func(http.ResponseWriter, *http.Request) {}, requirements...).ServeHTTP(response, request)
		var problem struct{ Reason string }
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		return problem.Reason
	}
	documentation := optionDocs(t)

	for _, test := range []struct {
		option  string
		reason  string
		token   mint.TokenOption
		proof   mint.ProofOption
		require middleware.Requirement
	}{
		{option: "Audience", reason: "token_audience", token: mint.Audience("nhn:other-api")},
		{option: "Audience", reason: "token_audience", token: mint.Audience(mint.DefaultAudience, "nhn:other-api")},
		{option: "Issuer", reason: "token_issuer", token: mint.Issuer("https://other.example.no")},
		{option: "Expired", reason: "token_expired", token: mint.Expired()},
		{option: "SignedWithUnknownKey", reason: "token_signature", token: mint.SignedWithUnknownKey()},
		{option: "BrokenSignature", reason: "token_signature", token: mint.BrokenSignature()},
		{option: "Unbound", reason: "token_binding", token: mint.Unbound()},
		{option: "BoundTo", reason: "proof_key_mismatch", token: mint.BoundTo("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")},
		{option: "BoundToAnotherKey", reason: "proof_key_mismatch", token: mint.BoundToAnotherKey()},
		{option: "ProofAge", reason: "proof_iat", proof: mint.ProofAge(time.Hour)},
		{option: "ProofAge", reason: "proof_iat", proof: mint.ProofAge(-time.Hour)},
		{option: "BrokenProofSignature", reason: "proof_signature", proof: mint.BrokenProofSignature()},
		{option: "PrivateKeyInProof", reason: "proof_jwk", proof: mint.PrivateKeyInProof()},
		{option: "ProofWithAnotherKey", reason: "proof_key_mismatch", proof: mint.ProofWithAnotherKey()},
		{option: "Scopes", reason: "scope", token: mint.Scopes("nhn:test-api/write"), require: middleware.Scope("nhn:test-api/read")},
		{option: "AuthenticatedAt", reason: "authentication_age", token: mint.AuthenticatedAt(time.Now().Add(-time.Hour)), require: middleware.AuthenticatedWithin(time.Minute)},
		{option: "SecurityLevel", reason: "security_level", token: mint.SecurityLevel(3), require: middleware.SecurityLevel(4)},
		{option: "AssuranceLevel", reason: "assurance_level", token: mint.AssuranceLevel("low"), require: middleware.AssuranceLevel(identity.AssuranceHigh)},
		{option: "HPRNumber", reason: "hpr_number", token: mint.HPRNumber(""), require: middleware.HPRNumber()},
		{option: "Organization", reason: "parent_organization", token: mint.Organization("", "", ""), require: middleware.ParentOrganization("994598759")},
		{option: "Organization", reason: "child_organization", token: mint.Organization("", "", ""), require: middleware.ChildOrganization("999977775")},
		{option: "Organization", reason: "supplier_organization", token: mint.Organization("", "", ""), require: middleware.SupplierOrganization("987654325")},
		{option: "WithoutUserClaims", reason: "user", token: mint.WithoutUserClaims(), require: middleware.User()},
	} {
		require.Contains(t, documentation[test.option], test.reason, test.option)
		require.Equal(t, test.reason, reason(test.require, some(test.token), some(test.proof)), test.option)
	}
	for _, invalid := range mint.InvalidProofs() {
		require.Equal(t, invalid.Reason, reason(nil, some(invalid.Token), some(invalid.Proof)), invalid.Name)
	}
}

func some[T mint.TokenOption | mint.ProofOption](option T) []T {
	if option == nil {
		return nil
	}
	return []T{option}
}

// optionDocs returns the documentation of the package's functions.
func optionDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for _, file := range testkit.Must(os.ReadDir(".")) {
		if !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				docs[function.Name.Name] = function.Doc.Text()
			}
		}
	}
	return docs
}
