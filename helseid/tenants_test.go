package helseid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
	"github.com/helseid-go/sdk/helseid/identity"
)

// Synthetic organisations, as in Norsk helsenett's own samples. The check digits
// of childOrg and otherOrg are wrong.
const (
	parentOrg = "999977774"
	childOrg  = "999977775"
	otherOrg  = "999977776"
	journalID = "8a4b6b0e-52b5-4c6b-9d0c-3f5d5a0e7c11"
)

const (
	claimParentOrg = "helseid://claims/client/claims/orgnr_parent"
	claimChildOrg  = "helseid://claims/client/claims/orgnr_child"
)

// hop is a http.RoundTripper that is a function.
type hop func(*http.Request) (*http.Response, error)

func (h hop) RoundTrip(request *http.Request) (*http.Response, error) { return h(request) }

// become registers the world's client again and makes a new Client.
func (w *world) become(t testing.TB, registration helseidtest.Client, change func(*helseid.Config)) {
	t.Helper()
	registration.ID = w.config.ClientID
	registration.PublicJWKs = [][]byte{w.config.Key.PublicJWK()}
	if registration.Scopes == nil {
		registration.Scopes = []string{testScope, otherScope}
	}
	if registration.ParentOrganization == "" {
		registration.ParentOrganization = mint.DefaultParentOrganization
	}
	require.NoError(t, w.server.AddClient(registration))
	if change != nil {
		change(&w.config)
	}
	w.client = newClient(t, w.config)
}

func multiTenant() helseidtest.Client {
	return helseidtest.Client{MultiTenant: true, Delegations: []string{parentOrg, childOrg, otherOrg}}
}

func singleTenant() helseidtest.Client {
	return helseidtest.Client{ChildOrganizations: []string{childOrg, otherOrg}}
}

func organizationDetail(system, value string) string {
	return `{"type":"helseid_authorization","practitioner_role":{"organization":{"identifier":{"system":"` + system + `","type":"ENH","value":"` + value + `"}}}}`
}

func goodAttest() *clientassertion.Attest {
	return &clientassertion.Attest{
		LegalEntity: parentOrg, PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "b9d2ff4c-1e5c-4b0f-8b0b-000000000001",
	}
}

func parsedDetail(t testing.TB, text string) clientassertion.Detail {
	t.Helper()
	detail, err := clientassertion.ParseDetail([]byte(text))
	require.NoError(t, err)
	return detail
}

// The shapes are those of Norsk helsenett's libraries (HelseID.Library and
// HelseID.Library.Java on GitHub) and of the developer portal's pages on
// organisation numbers and the SFM journal id.
func TestDetailsOnTheWire(t *testing.T) {
	t.Parallel()
	const journal = `{"type":"nhn:sfm:journal-id","value":{"journal_id":"` + journalID + `"}}`
	type organization = clientassertion.Organization
	tests := map[string]struct {
		client  helseidtest.Client
		change  func(*helseid.Config)
		request helseid.TokenRequest
		claim   string // assertion_details unless set
		want    string
		parent  any
		child   any
	}{
		"T032 nothing is asked for, nothing is sent": {
			client: singleTenant(), parent: mint.DefaultParentOrganization,
		},
		"T021 T032 T033 single-tenant child, tenancy not said": {
			client: singleTenant(), request: helseid.TokenRequest{Organization: organization{Child: childOrg}},
			want:   organizationDetail("urn:oid:2.16.578.1.12.4.1.4.101", childOrg),
			parent: mint.DefaultParentOrganization, child: childOrg,
		},
		"T021 T033 single-tenant child": {
			client: singleTenant(), request: helseid.TokenRequest{Organization: organization{Child: childOrg}},
			change: func(c *helseid.Config) { c.Tenancy = identity.SingleTenant },
			want:   organizationDetail("urn:oid:2.16.578.1.12.4.1.4.101", childOrg),
			parent: mint.DefaultParentOrganization, child: childOrg,
		},
		"T021 single-tenant child, by the older sample": {
			client: singleTenant(), request: helseid.TokenRequest{Organization: organization{Child: childOrg}},
			change: func(c *helseid.Config) { c.Variants.OldSingleTenantSystem = true },
			want:   organizationDetail("urn:oid:2.16.578.1.12.4.1.2.101", childOrg),
			parent: mint.DefaultParentOrganization, child: childOrg,
		},
		"single-tenant client that names nobody": {
			client: singleTenant(), change: func(c *helseid.Config) { c.Tenancy = identity.SingleTenant },
			parent: mint.DefaultParentOrganization,
		},
		"T023 T033 multi-tenant parent and child": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg, Child: childOrg}},
			change: func(c *helseid.Config) { c.Tenancy = identity.MultiTenant },
			want:   organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg+":"+childOrg),
			parent: parentOrg, child: childOrg,
		},
		"T023 multi-tenant, with the options that are not for it": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg, Child: childOrg}},
			change: func(c *helseid.Config) {
				c.Variants = clientassertion.Variants{OldSingleTenantSystem: true, TrailingColon: true}
			},
			want:   organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg+":"+childOrg),
			parent: parentOrg, child: childOrg,
		},
		"T025 multi-tenant parent alone": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg}},
			want:   organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg),
			parent: parentOrg,
		},
		"T024 multi-tenant parent alone, with the colon": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg}},
			change: func(c *helseid.Config) { c.Variants.TrailingColon = true },
			want:   organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg+":"),
			parent: parentOrg,
		},
		"T029 under the older name": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg}},
			change: func(c *helseid.Config) { c.Variants.AuthorizationDetails = true },
			claim:  "authorization_details", want: organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg),
			parent: parentOrg,
		},
		"T027 T029 organisation and journal, an array": {
			client: multiTenant(), request: helseid.TokenRequest{Organization: organization{Parent: parentOrg}, JournalID: journalID},
			want:   `[` + organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg) + `,` + journal + `]`,
			parent: parentOrg,
		},
		"T029 single-tenant organisation and attest, an array": {
			client: singleTenant(), request: helseid.TokenRequest{Organization: organization{Child: childOrg}, Attest: goodAttest()},
			want: `[` + organizationDetail("urn:oid:2.16.578.1.12.4.1.4.101", childOrg) + `,` + func() string {
				detail, err := goodAttest().Detail()
				require.NoError(t, err)
				return detail.String()
			}() + `]`,
			parent: mint.DefaultParentOrganization, child: childOrg,
		},
		"T029 a free-form detail alone, an object": {
			client: multiTenant(),
			request: helseid.TokenRequest{Details: []clientassertion.Detail{
				parsedDetail(t, organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg)),
			}},
			want:   organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg),
			parent: parentOrg,
		},
		"T029 free-form details come last, in their order": {
			client: multiTenant(),
			request: helseid.TokenRequest{
				Organization: organization{Parent: parentOrg},
				Details:      []clientassertion.Detail{parsedDetail(t, journal)},
			},
			want:   `[` + organizationDetail("urn:oid:1.0.6523", "NO:ORGNR:"+parentOrg) + `,` + journal + `]`,
			parent: parentOrg,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.become(t, test.client, test.change)
			test.request.Scopes = []string{testScope}
			token, err := w.client.Token(t.Context(), test.request)
			require.NoError(t, err)

			requests := w.server.Requests(helseidtest.EndpointToken)
			require.Len(t, requests, 1)
			var claims map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(requests[0].Assertion), &claims))
			names := map[string]bool{"assertion_details": false, "authorization_details": false}
			if test.want != "" {
				names[cmpOr(test.claim, "assertion_details")] = true
			}
			for name, present := range names {
				require.Equal(t, present, claims[name] != nil, name)
				if present {
					require.Equal(t, test.want, string(claims[name]))
				}
			}
			if test.want == "" {
				require.Len(t, claims, 7)
			} else {
				require.Len(t, claims, 8)
			}
			for _, parameter := range []string{"assertion_details", "authorization_details"} {
				require.NotContains(t, requests[0].Form, parameter, "details belong in the assertion")
			}
			_, granted := jws(t, token.Access.Reveal())
			require.Equal(t, test.parent, granted[claimParentOrg])
			require.Equal(t, test.child, granted[claimChildOrg])
		})
	}
}

func cmpOr(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

// What cannot be right is refused before anything is sent, and the error names
// the field.
func TestDetailMistakes(t *testing.T) {
	t.Parallel()
	type organization = clientassertion.Organization
	const uuid = "0b9d2ff4-1e5c-4b0f-8b0b-000000000001"
	single := func(c *helseid.Config) { c.Tenancy = identity.SingleTenant }
	multi := func(c *helseid.Config) { c.Tenancy = identity.MultiTenant }
	tests := map[string]struct {
		change  func(*helseid.Config)
		request helseid.TokenRequest
		named   []string
	}{
		"T022 single-tenant, a parent in place of a child": {single, helseid.TokenRequest{Organization: organization{Parent: parentOrg}}, []string{"Organization", "parent", "single-tenant"}},
		"T022 single-tenant, a parent beside the child":    {single, helseid.TokenRequest{Organization: organization{Parent: parentOrg, Child: childOrg}}, []string{"Organization", "parent", "single-tenant"}},
		"T026 multi-tenant without organisation":           {multi, helseid.TokenRequest{}, []string{"Organization", "multi-tenant"}},
		"T026 multi-tenant, a child alone":                 {multi, helseid.TokenRequest{Organization: organization{Child: childOrg}}, []string{"Organization", "parent", "multi-tenant"}},
		"T026 multi-tenant, a journal alone":               {multi, helseid.TokenRequest{JournalID: journalID}, []string{"Organization"}},
		"T028 a journal that is no UUID":                   {nil, helseid.TokenRequest{JournalID: "1"}, []string{"JournalID", "UUID"}},
		"T028 a journal of spaces":                         {nil, helseid.TokenRequest{JournalID: " "}, []string{"JournalID", "UUID"}},
		"T028 a single-tenant client's journal":            {single, helseid.TokenRequest{JournalID: journalID}, []string{"JournalID", "single-tenant"}},
		"T030 an empty detail":                             {nil, helseid.TokenRequest{Details: make([]clientassertion.Detail, 1)}, []string{"Details[0]"}},
		"T031 single-tenant child is a UUID":               {single, helseid.TokenRequest{Organization: organization{Child: uuid}}, []string{"Organization", "child", "nine digits"}},
		"T031 multi-tenant child is a UUID":                {multi, helseid.TokenRequest{Organization: organization{Parent: parentOrg, Child: uuid}}, []string{"Organization", "child", "nine digits"}},
		"T031 multi-tenant parent is a UUID":               {multi, helseid.TokenRequest{Organization: organization{Parent: uuid, Child: childOrg}}, []string{"Organization", "parent", "nine digits"}},
		"T031 both":                                        {nil, helseid.TokenRequest{Organization: organization{Parent: uuid, Child: uuid}}, []string{"parent", "child"}},
		"T031 eight digits":                                {nil, helseid.TokenRequest{Organization: organization{Child: "99997777"}}, []string{"child"}},
		"T031 ten digits":                                  {nil, helseid.TokenRequest{Organization: organization{Child: "9999777755"}}, []string{"child"}},
		"T031 digits of another script":                    {nil, helseid.TokenRequest{Organization: organization{Child: "٩٩٩٩٧٧٧٧٥"}}, []string{"child"}},
		"T031 a second number behind a colon":              {nil, helseid.TokenRequest{Organization: organization{Parent: "999977774:999977775"}}, []string{"parent"}},
		"attest":                                           {nil, helseid.TokenRequest{Attest: &clientassertion.Attest{}}, []string{"Attest", "LegalEntity", "PurposeOfUse", "DecisionID"}},
		"everything at once": {nil, helseid.TokenRequest{
			Scopes: []string{"a b"}, Resource: "a b", Organization: organization{Child: "1"}, JournalID: "1", Attest: &clientassertion.Attest{},
			Details: make([]clientassertion.Detail, 2), AllowedOrigins: []string{"x"},
		}, []string{"Scopes", "Resource", "Organization", "JournalID", "Attest", "Details[0]", "Details[1]", "AllowedOrigins"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{config: test.change})
			err := w.client.Validate(test.request)
			require.ErrorIs(t, err, helseid.ErrConfig)
			for _, name := range test.named {
				require.ErrorContains(t, err, name)
			}
			_, again := w.client.Token(t.Context(), test.request)
			require.EqualError(t, again, err.Error())
			_, again = get(t, w.client.HTTPClient(test.request), apiURL)
			require.ErrorIs(t, again, helseid.ErrConfig)
			require.Empty(t, w.server.Requests())
		})
	}
	t.Run("a tenancy that there is not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.config.Tenancy = "Multi-Tenant"
		_, err := helseid.New(w.config)
		require.ErrorIs(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "Tenancy")
	})
}

// The check digit is modulus 11 with the weights 3 2 7 6 5 4 3 2
// (Brønnøysundregistrene, "Organisasjonsnummeret"). Norsk helsenett's test
// organisations fail it, so that it is enforced against production alone.
func TestCheckDigitInProductionOnly(t *testing.T) {
	t.Parallel()
	type organization = clientassertion.Organization
	for issuer, production := range map[string]bool{
		helseid.Production.Issuer(): true, helseid.Production.Issuer() + "/": true,
		helseid.Test.Issuer(): false, helseid.Production.Issuer() + ".example.no": false, helseid.Production.Issuer() + "/path": false,
	} {
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.Issuer = issuer }})
		for _, test := range []struct {
			organization organization
			wrong        []string
		}{
			{organization{Child: childOrg}, []string{"child"}},
			{organization{Parent: childOrg}, []string{"parent"}},
			{organization{Parent: childOrg, Child: otherOrg}, []string{"parent", "child"}},
			{organization{Parent: "994598759", Child: childOrg}, []string{"child"}},
			{organization{Parent: "994598759", Child: "974760673"}, nil},
			{organization{Child: "994598759"}, nil},
			{organization{Child: "994598758"}, []string{"child"}},
			{organization{Child: "123456785"}, nil},
			{organization{Child: "100000030"}, []string{"child"}}, // the sum asks for a digit "10", which there is not
		} {
			err := w.client.Validate(helseid.TokenRequest{Organization: test.organization})
			if !production || test.wrong == nil {
				require.NoError(t, err, "%s %v", issuer, test.organization)
				continue
			}
			require.ErrorIs(t, err, helseid.ErrConfig, "%s %v", issuer, test.organization)
			for _, name := range test.wrong {
				require.ErrorContains(t, err, name+" organisation number: the check digit")
			}
		}
	}
}

// So are the numbers of an attest, of details in JSON and of ID-porten's parameter.
func TestCheckDigitInOtherPlaces(t *testing.T) {
	t.Parallel()
	const good, bad = "994598759", "994598750"
	attest := func(number string) *clientassertion.Attest {
		return &clientassertion.Attest{LegalEntity: number, PurposeOfUse: clientassertion.PurposeTreatment, DecisionID: "1"}
	}
	raw := func(number string) []clientassertion.Detail {
		detail, err := clientassertion.OrganizationDetail(clientassertion.Organization{Child: identity.OrganizationNumber(number)}, "", clientassertion.Variants{})
		require.NoError(t, err)
		return []clientassertion.Detail{detail}
	}
	for issuer, production := range map[string]bool{helseid.Production.Issuer(): true, helseid.Test.Issuer(): false} {
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) {
			c.Issuer = issuer
			c.Registered.RedirectURIs = []string{redirectURI}
		}})
		for name, check := range map[string]func(number string) error{
			"attest":  func(number string) error { return w.client.Validate(helseid.TokenRequest{Attest: attest(number)}) },
			"details": func(number string) error { return w.client.Validate(helseid.TokenRequest{Details: raw(number)}) },
			"attest of a login": func(number string) error {
				_, err := w.client.ValidateLogin(helseid.LoginRequest{Attest: attest(number)})
				return err
			},
			"on behalf of": func(number string) error {
				_, err := w.client.ValidateLogin(helseid.LoginRequest{OnBehalfOf: number})
				return err
			},
		} {
			require.NoError(t, check(good), name)
			if !production {
				require.NoError(t, check(bad), name)
				continue
			}
			require.ErrorIs(t, check(bad), helseid.ErrConfig, name)
			require.ErrorContains(t, check(bad), "check digit", name)
			require.NotContains(t, check(bad).Error(), bad, name)
		}
	}
}

// tokenWay is a way to get an access token for a request and a context.
type tokenWay func(t testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error)

func tokenWays() map[string]tokenWay {
	return map[string]tokenWay{
		"HTTPClient": func(t testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error) {
			api := w.api(apiHost, good)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL, nil)
			require.NoError(t, err)
			response, err := w.client.HTTPClient(base).Do(request)
			if err != nil {
				return "", err
			}
			_ = response.Body.Close()
			_, token, _ := strings.Cut(api.received()[0].request.Header.Get("Authorization"), " ")
			return token, nil
		},
		"TokenSource": func(_ testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error) {
			return revealed(w.client.TokenSource(base).Token(ctx))
		},
		"Token": func(_ testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error) {
			return revealed(w.client.Token(ctx, base))
		},
		"OAuth2": func(_ testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error) {
			token, err := w.client.TokenSource(base).OAuth2(ctx).Token()
			if err != nil {
				return "", err
			}
			return token.AccessToken, nil
		},
		"Authorize": func(t testing.TB, w *world, ctx context.Context, base helseid.TokenRequest) (string, error) {
			request := newRequest(t, http.MethodGet, apiURL, nil)
			if err := w.client.TokenSource(base).Authorize(ctx, request); err != nil {
				return "", err
			}
			_, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
			return token, nil
		},
	}
}

func revealed(token *helseid.Token, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return token.Access.Reveal(), nil
}

// The context chooses organisation and request in the same way wherever a token
// is asked for.
func TestRequestOfTheContext(t *testing.T) {
	t.Parallel()
	type organization = clientassertion.Organization
	type change = func(context.Context) context.Context
	forOrganization := func(parent, child string) change {
		return func(ctx context.Context) context.Context {
			return helseid.ForOrganization(ctx, identity.OrganizationNumber(parent), identity.OrganizationNumber(child))
		}
	}
	withRequest := func(request helseid.TokenRequest) change {
		return func(ctx context.Context) context.Context { return helseid.WithTokenRequest(ctx, request) }
	}
	base := helseid.TokenRequest{Scopes: []string{testScope}, Organization: organization{Parent: parentOrg}}
	other := helseid.TokenRequest{Scopes: []string{otherScope}, Organization: organization{Parent: otherOrg, Child: childOrg}}
	list := func(values ...any) []any { return values }
	tests := map[string]struct {
		changes       []change
		scopes        []any
		parent, child any
	}{
		"nothing":                    {nil, list(testScope), parentOrg, nil},
		"organisation":               {[]change{forOrganization(otherOrg, childOrg)}, list(testScope), otherOrg, childOrg},
		"organisation without child": {[]change{forOrganization(otherOrg, "")}, list(testScope), otherOrg, nil},
		"request":                    {[]change{withRequest(other)}, list(otherScope), otherOrg, childOrg},
		"request, organisation":      {[]change{withRequest(other), forOrganization(childOrg, "")}, list(otherScope), childOrg, nil},
		"organisation, request":      {[]change{forOrganization(childOrg, ""), withRequest(other)}, list(otherScope), childOrg, nil},
		"organisations, nested":      {[]change{forOrganization(otherOrg, childOrg), forOrganization(childOrg, "")}, list(testScope), childOrg, nil},
		"requests, nested":           {[]change{withRequest(other), withRequest(base)}, list(testScope), parentOrg, nil},
		"all, nested": {
			[]change{forOrganization(parentOrg, ""), withRequest(base), forOrganization(otherOrg, parentOrg), withRequest(other)},
			list(otherScope), otherOrg, parentOrg,
		},
	}
	for name, test := range tests {
		for way, ask := range tokenWays() {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, worldOptions{})
				w.become(t, multiTenant(), nil)
				ctx := t.Context()
				for _, change := range test.changes {
					ctx = change(ctx)
				}
				token, err := ask(t, w, ctx, base)
				require.NoError(t, err)
				_, claims := jws(t, token)
				require.Equal(t, test.scopes, claims["scope"])
				require.Equal(t, test.parent, claims[claimParentOrg])
				require.Equal(t, test.child, claims[claimChildOrg])
				require.Equal(t, 1, w.tokenRequests())
			})
		}
	}
}

// A client that says it is multi-tenant cannot name the organisation when it is
// set up: the call does. This is how the README begins.
func TestTenancyAndOrganizationPerCall(t *testing.T) {
	t.Parallel()
	for way, ask := range tokenWays() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.become(t, multiTenant(), func(c *helseid.Config) { c.Tenancy = identity.MultiTenant })
			token, err := ask(t, w, helseid.ForOrganization(t.Context(), parentOrg, childOrg), helseid.TokenRequest{Scopes: []string{testScope}})
			require.NoError(t, err)
			_, claims := jws(t, token)
			require.Equal(t, parentOrg, claims[claimParentOrg])
			require.Equal(t, childOrg, claims[claimChildOrg])
		})
		t.Run(way+" does not fit", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.become(t, multiTenant(), func(c *helseid.Config) { c.Tenancy = identity.MultiTenant })
			_, err := ask(t, w, helseid.ForOrganization(t.Context(), "", childOrg), helseid.TokenRequest{})
			require.ErrorIs(t, err, helseid.ErrConfig)
			_, err = ask(t, w, t.Context(), helseid.TokenRequest{})
			require.ErrorIs(t, err, helseid.ErrConfig)
			require.Empty(t, w.server.Requests())
		})
	}
	t.Run("a mistake of another kind stays one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		api := w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{"a b"}})
		request := newRequest(t, http.MethodGet, apiURL, nil)
		_, err := api.Do(request.WithContext(helseid.ForOrganization(t.Context(), parentOrg, "")))
		require.ErrorIs(t, err, helseid.ErrConfig)
		require.ErrorContains(t, err, "Scopes")
	})
}

// What was given to HTTPClient is taken as it was then, also for calls whose
// organisation comes later.
func TestRequestIsTakenAsItWas(t *testing.T) {
	t.Parallel()
	for _, composed := range []bool{false, true} {
		t.Run(fmt.Sprintf("composed=%v", composed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{})
			w.become(t, multiTenant(), nil)
			request := helseid.TokenRequest{
				Scopes: []string{testScope}, Organization: clientassertion.Organization{Parent: parentOrg}, Attest: goodAttest(),
				Details: []clientassertion.Detail{parsedDetail(t, `{"type":"nhn:sfm:journal-id","value":{"journal_id":"`+journalID+`"}}`)},
			}
			source := w.client.TokenSource(request)
			want, err := goodAttest().Detail()
			require.NoError(t, err)
			request.Scopes[0] = otherScope
			request.Attest.DecisionID = "of the next patient"
			request.Details[0] = parsedDetail(t, `{"type":"another"}`)
			ctx := t.Context()
			if composed {
				ctx = helseid.ForOrganization(ctx, otherOrg, "")
			}
			granted, err := source.Token(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{testScope}, granted.Scopes)
			assertion := w.server.Requests(helseidtest.EndpointToken)[0].Assertion
			require.Contains(t, assertion, want.String())
			require.Contains(t, assertion, journalID)
		})
	}
}

// One *http.Client serves every organisation: each call carries the token of
// its own.
func TestOneClientForManyOrganizations(t *testing.T) {
	t.Parallel()
	const organizations, workers, calls = 100, 20, 250
	w := newWorld(t, worldOptions{})
	delegations := make([]string, organizations)
	for i := range delegations {
		delegations[i] = fmt.Sprintf("9%08d", i)
	}
	var wrong, served atomic.Int64
	registration := multiTenant()
	registration.Delegations = delegations
	w.become(t, registration, func(c *helseid.Config) {
		c.OnEvent = nil
		helseidHop := w.server.HTTPClient().Transport
		c.HTTPClient = &http.Client{Transport: hop(func(request *http.Request) (*http.Response, error) {
			if request.URL.Host == helseidHost {
				return helseidHop.RoundTrip(request)
			}
			_, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
			_, claims := jws(t, token)
			wantParent, wantChild, _ := strings.Cut(request.Header.Get("X-Organization"), ":")
			child, _ := claims[claimChildOrg].(string)
			if claims[claimParentOrg] != wantParent || child != wantChild {
				wrong.Add(1)
			}
			served.Add(1)
			return answer(http.StatusOK), nil
		})}
	})
	api := w.client.HTTPClient(helseid.TokenRequest{Scopes: []string{testScope}})
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range calls {
				parent, child := delegations[random.IntN(organizations)], ""
				if random.IntN(4) == 0 {
					child = delegations[random.IntN(2)]
				}
				ctx := helseid.ForOrganization(t.Context(), identity.OrganizationNumber(parent), identity.OrganizationNumber(child))
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL, nil)
				if !assert.NoError(t, err) {
					return
				}
				request.Header.Set("X-Organization", parent+":"+child)
				response, err := api.Do(request)
				if !assert.NoError(t, err) {
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	group.Wait()
	require.Zero(t, wrong.Load(), "calls with the token of another organisation")
	require.EqualValues(t, workers*calls, served.Load())
	require.LessOrEqual(t, w.tokenRequests(), 3*organizations, "one token for each organisation, alone and with either child")
}

// An attest may be used for 60 minutes (ATT-58 of the trust framework's
// business rules), however long the token lives.
func TestAttestLivesAnHour(t *testing.T) {
	t.Parallel()
	typed := func(t *testing.T) helseid.TokenRequest {
		return helseid.TokenRequest{Scopes: []string{testScope}, Attest: goodAttest()}
	}
	tests := map[string]struct {
		lifetime, limit time.Duration
		request         func(*testing.T) helseid.TokenRequest
	}{
		"a token of two hours":            {2 * time.Hour, time.Hour, typed},
		"a token of half an hour":         {30 * time.Minute, 30 * time.Minute, typed},
		"a token of an hour":              {time.Hour, time.Hour, typed},
		"a token of a second more":        {time.Hour + time.Second, time.Hour, typed},
		"a token of two hours, no attest": {2 * time.Hour, 2 * time.Hour, func(*testing.T) helseid.TokenRequest { return helseid.TokenRequest{Scopes: []string{testScope}} }},
		"the attest as a free-form detail": {2 * time.Hour, time.Hour, func(t *testing.T) helseid.TokenRequest {
			detail, err := goodAttest().Detail()
			require.NoError(t, err)
			return helseid.TokenRequest{Scopes: []string{testScope}, Details: []clientassertion.Detail{detail}}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, worldOptions{server: []helseidtest.Option{helseidtest.Relaxed(rule.Nonce), helseidtest.TokenLifetime(test.lifetime)}, config: noRetries})
				api := w.api(apiHost, good)
				start := time.Now()
				request := test.request(t)
				token, err := w.client.Token(t.Context(), request)
				require.NoError(t, err)
				require.Equal(t, test.limit, token.Expiry.Sub(start))
				w.server.Inject(helseidtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
				client := w.client.HTTPClient(request)
				at(start, test.limit-5*time.Second-1)
				_, err = get(t, client, apiURL)
				require.NoError(t, err)
				at(start, test.limit-5*time.Second)
				_, err = get(t, client, apiURL)
				require.ErrorIs(t, err, helseid.ErrUnavailable)
				require.Len(t, api.received(), 1)
			})
		})
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	request := func() helseid.TokenRequest {
		return helseid.TokenRequest{Scopes: []string{testScope}, Attest: goodAttest()}
	}
	t.Run("T085 the next call fetches a token although one is in memory", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		source := w.client.TokenSource(request())
		first, err := source.Token(t.Context())
		require.NoError(t, err)
		other := w.token(t)
		w.client.TokenSource(request()).Forget(t.Context()) // an equal request, not the same
		second, err := source.Token(t.Context())
		require.NoError(t, err)
		require.False(t, first.Access.Reveal() == second.Access.Reveal())
		require.Same(t, other, w.token(t), "other tokens stay")
		again, err := source.Token(t.Context())
		require.NoError(t, err)
		require.Same(t, second, again)
	})
	t.Run("the attest for another patient is another token anyway", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		first, err := w.client.Token(t.Context(), request())
		require.NoError(t, err)
		next := request()
		next.Attest.DecisionID = "b9d2ff4c-1e5c-4b0f-8b0b-000000000002"
		second, err := w.client.Token(t.Context(), next)
		require.NoError(t, err)
		require.False(t, first.Access.Reveal() == second.Access.Reveal())
		w.client.TokenSource(request()).Forget(t.Context())
		kept, err := w.client.Token(t.Context(), next)
		require.NoError(t, err)
		require.Same(t, second, kept)
	})
	t.Run("of something that is not there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.client.TokenSource(request()).Forget(t.Context())
		w.client.TokenSource(helseid.TokenRequest{Scopes: []string{""}}).Forget(t.Context())
		require.Empty(t, w.server.Requests())
	})
	t.Run("a token that is on its way was asked for before", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Delay: 5 * time.Second})
			var group sync.WaitGroup
			group.Go(func() { _, _ = w.client.Token(t.Context(), request()) })
			pause(time.Second)
			w.client.TokenSource(request()).Forget(t.Context()) // the user has changed to another patient
			group.Wait()
			_, err := w.client.Token(t.Context(), request())
			require.NoError(t, err)
			require.Equal(t, 2, w.events.of(helseid.EventTokenRequest), "the next call fetches a new one")
		})
	})
	t.Run("nor does a call after it wait for the token from before", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			w.server.Inject(helseidtest.Fault{Delay: 5 * time.Second})
			var group sync.WaitGroup
			group.Go(func() { _, _ = w.client.Token(t.Context(), request()) })
			pause(time.Second)
			w.client.TokenSource(request()).Forget(t.Context())
			pause(time.Second)
			_, err := w.client.Token(t.Context(), request()) // the first is still under way
			require.NoError(t, err)
			group.Wait()
			require.Equal(t, 2, w.events.of(helseid.EventTokenRequest), "the call after Forget got a token from before")
		})
	})
	t.Run("a renewal that is on its way too", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			start := time.Now()
			_, err := w.client.Token(t.Context(), request())
			require.NoError(t, err)
			at(start, 575*time.Second)
			w.server.Inject(helseidtest.Fault{Delay: 5 * time.Second})
			_, err = w.client.Token(t.Context(), request()) // renews in the background
			require.NoError(t, err)
			pause(time.Second)
			w.client.TokenSource(request()).Forget(t.Context())
			pause(time.Minute)
			_, err = w.client.Token(t.Context(), request())
			require.NoError(t, err)
			require.Equal(t, 3, w.events.of(helseid.EventTokenRequest))
		})
	})
	t.Run("also where the memory was too small", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{config: func(c *helseid.Config) { c.MaxTokens = 1 }})
		source := w.client.TokenSource(request())
		first, err := source.Token(t.Context())
		require.NoError(t, err)
		w.token(t) // takes the only place
		w.client.TokenSource(request()).Forget(t.Context())
		second, err := source.Token(t.Context())
		require.NoError(t, err)
		require.False(t, first.Access.Reveal() == second.Access.Reveal(), "a token that was to be forgotten is used")
	})
}

// HelseID grants a token without the scopes whose terms the organisation has
// not accepted, and says so in rejected_scope (HelseID's page on the token
// endpoint).
func TestRejectedScopes(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T) *world {
		w := newWorld(t, worldOptions{})
		registration := multiTenant()
		registration.UnsignedTerms = map[string][]string{otherOrg: {otherScope}}
		w.become(t, registration, nil)
		return w
	}
	both := helseid.TokenRequest{Scopes: []string{testScope, otherScope}}
	t.Run("accepted terms", func(t *testing.T) {
		t.Parallel()
		token, err := setUp(t).client.Token(helseid.ForOrganization(t.Context(), parentOrg, ""), both)
		require.NoError(t, err)
		require.Empty(t, token.RejectedScopes)
		require.NoError(t, token.RequireScopes(testScope, otherScope))
		require.NoError(t, token.RequireScopes())
	})
	t.Run("the call is stopped", func(t *testing.T) {
		t.Parallel()
		w := setUp(t)
		api := w.api(apiHost, good)
		request := newRequest(t, http.MethodGet, apiURL, nil)
		for range 2 {
			_, err := w.client.HTTPClient(both).Do(request.WithContext(helseid.ForOrganization(t.Context(), otherOrg, "")))
			require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
			require.ErrorContains(t, err, otherScope)
			require.ErrorContains(t, err, "terms")
			require.NotContains(t, err.Error(), testScope)
		}
		require.Empty(t, api.received())
		require.Equal(t, 1, w.tokenRequests())
	})
	t.Run("accepted on purpose", func(t *testing.T) {
		t.Parallel()
		w := setUp(t)
		request := both
		request.AcceptMissingScopes = true
		token, err := w.client.Token(helseid.ForOrganization(t.Context(), otherOrg, ""), request)
		require.NoError(t, err)
		require.Equal(t, []string{testScope}, token.Scopes)
		require.Equal(t, []string{otherScope}, token.RejectedScopes)
		require.NoError(t, token.RequireScopes(testScope))
		err = token.RequireScopes(testScope, otherScope, "nhn:third/api")
		require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
		require.ErrorContains(t, err, otherScope)
		err = token.RequireScopes("nhn:third/api", "nhn:fourth/api")
		require.ErrorIs(t, err, helseid.ErrScopeNotGranted)
		require.ErrorContains(t, err, "nhn:third/api nhn:fourth/api")
		require.ErrorContains(t, err, "grant")
	})
	t.Run("what was not asked for is not rejected", func(t *testing.T) {
		t.Parallel()
		token, err := setUp(t).client.Token(helseid.ForOrganization(t.Context(), otherOrg, ""), helseid.TokenRequest{Scopes: []string{testScope}})
		require.NoError(t, err)
		require.Equal(t, []string{testScope}, token.Scopes)
		require.Empty(t, token.RejectedScopes)
	})
	t.Run("not asked for by name", func(t *testing.T) {
		t.Parallel()
		token, err := setUp(t).client.Token(helseid.ForOrganization(t.Context(), otherOrg, ""), helseid.TokenRequest{})
		require.NoError(t, err, "nothing was asked for, so nothing is missing")
		require.Equal(t, []string{otherScope}, token.RejectedScopes)
	})
}

// No organisation of one call is in the error of another, nor in any error that
// a log would keep.
func TestErrorsNameNoOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{config: noRetries})
	w.become(t, multiTenant(), nil)
	_, refused := w.client.Token(helseid.ForOrganization(t.Context(), "994598759", ""), helseid.TokenRequest{})
	var tokenError *helseid.TokenError
	require.ErrorAs(t, refused, &tokenError)
	require.Equal(t, "HID-1001", tokenError.HID)
	for _, err := range []error{
		refused,
		w.client.Validate(helseid.TokenRequest{Organization: clientassertion.Organization{Parent: "99459875x"}}),
	} {
		require.NotContains(t, err.Error(), "99459875")
	}
}
