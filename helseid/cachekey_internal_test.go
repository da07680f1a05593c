package helseid

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/identity"
)

func TestCacheKeyPartsDoNotMeet(t *testing.T) {
	t.Parallel()
	build := func(change func(*Config)) *Client {
		key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
		require.NoError(t, err)
		config := Config{Issuer: "https://a.example.no", ClientID: "b", Key: key}
		change(&config)
		client, err := New(config)
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	client := build(func(*Config) {})
	key := func(client *Client, request TokenRequest) cacheKey {
		prepared, err := client.tokens.rules.prepare(request, systemOrigin)
		require.NoError(t, err)
		return prepared.key
	}
	detail := func(text string) clientassertion.Detail {
		detail, err := clientassertion.ParseDetail([]byte(text))
		require.NoError(t, err)
		return detail
	}
	seen := make(map[cacheKey]int)
	add := func(key cacheKey) {
		seen[key]++
		require.Equal(t, 1, seen[key], "two different requests have one key")
	}
	base := TokenRequest{Scopes: []string{"a", "b"}}
	add(key(client, base))
	for _, request := range []TokenRequest{
		{}, {Scopes: []string{"a"}}, {Scopes: []string{"ab"}}, {Scopes: []string{"a", "b", "c"}},
		{Scopes: []string{"b"}, Resource: "a"}, {Resource: "ab"}, {Resource: "a"}, {Scopes: []string{"a", "b"}, Resource: "a"},
		{Details: []clientassertion.Detail{detail(`{"type":"a"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"b"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"a"}`), detail(`{"type":"b"}`)}},
		{Details: []clientassertion.Detail{detail(`{"type":"b"}`), detail(`{"type":"a"}`)}},
		{Organization: clientassertion.Organization{Child: "999977775"}},
		{Organization: clientassertion.Organization{Parent: "999977775"}},
		{Organization: clientassertion.Organization{Parent: "999977775", Child: "999977776"}},
		{Organization: clientassertion.Organization{Parent: "999977776", Child: "999977775"}},
	} {
		add(key(client, request))
	}
	for _, origin := range []tokenOrigin{
		{grant: "another grant"}, {grant: grantRefreshToken, owner: "a"}, {grant: grantRefreshToken, owner: "b"},
		{grant: grantRefreshToken, owner: "a", forIssuer: true}, {grant: grantTokenExchange, owner: "a"},
	} {
		prepared, err := client.tokens.rules.prepare(base, origin)
		require.NoError(t, err)
		add(prepared.key)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Issuer = "https://b.example.no" },
		func(c *Config) { c.ClientID = "c" },
		func(c *Config) { c.Issuer, c.ClientID = "https://a.example.nob", "x" },
		func(c *Config) { c.DPoPKey = mustDPoPKey() }, // T076: a token of another DPoP key is of no use
	} {
		add(key(build(change), base))
	}
	// No part can be moved into its neighbour.
	of := func(grant, owner, scope, resource string) cacheKey {
		return client.tokens.rules.cacheKey(&preparedRequest{tokenOrigin: tokenOrigin{grant: grant, owner: owner}, scope: scope, resource: resource})
	}
	require.NotEqual(t, of("a", "", "b", "c"), of("a", "", "bc", ""))
	require.NotEqual(t, of("a", "", "b", "c"), of("a", "", "", "bc"))
	require.NotEqual(t, of("ab", "", "", ""), of("a", "b", "", ""))
	require.NotEqual(t, of("a", "b", "", ""), of("a", "", "b", ""))

	// What a token does not depend on is not in its key.
	require.Equal(t, key(client, base), key(client, TokenRequest{
		Scopes: []string{"b", "a", "b"}, AcceptMissingScopes: true, AllowedOrigins: []string{"https://x.example.no"},
	}))
}

func TestT076NewClientKeySameDPoPKey(t *testing.T) {
	t.Parallel()
	shared := mustDPoPKey()
	keys := make(map[cacheKey]bool)
	for range 2 {
		key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
		require.NoError(t, err)
		client, err := New(Config{Issuer: "https://a.example.no", ClientID: "b", Key: key, DPoPKey: shared})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		keys[client.tokens.rules.cacheKey(&preparedRequest{})] = true
	}
	require.Len(t, keys, 1, "a token outlives the client's key, and not the DPoP key")
}

// T075 T080 T083: over random requests of a few clients, two have one key
// exactly if they ask for the same thing. The values are chosen so that they
// collide as soon as parts are joined without their lengths ("a"+"ab" and
// "aa"+"b", parent+child and child+parent), as keys in other libraries did.
func TestT075T083CacheKeysMeetOnlyForEqualRequests(t *testing.T) {
	t.Parallel()
	key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
	require.NoError(t, err)
	dpopKey := mustDPoPKey()
	var clients []*Client
	for _, config := range []Config{
		{Issuer: "https://a.example.no", ClientID: "b", Key: key, DPoPKey: dpopKey},
		{Issuer: "https://a.example.no", ClientID: "bb", Key: key, DPoPKey: dpopKey},
		{Issuer: "https://a.example.no/b", ClientID: "b", Key: key, DPoPKey: dpopKey},
		{Issuer: "https://a.example.no", ClientID: "b", Key: key, DPoPKey: mustDPoPKey()},
	} {
		client, err := New(config)
		require.NoError(t, err)
		t.Cleanup(client.Close)
		clients = append(clients, client)
	}
	detail := func(text string) clientassertion.Detail {
		detail, err := clientassertion.ParseDetail([]byte(text))
		require.NoError(t, err)
		return detail
	}
	var (
		random   = rand.New(rand.NewPCG(1, 2))
		scopes   = []string{"a", "aa", "b", "ab", "a/b"}
		numbers  = []string{"", "111222333", "222333444", "333111222"}
		journals = []string{"", "", "8a4b6b0e-52b5-4c6b-9d0c-3f5d5a0e7c11"}
		details  = []clientassertion.Detail{
			detail(`{"type":"a"}`), detail(`{"type":"b"}`), detail(`{"type":"a","b":"a"}`),
			detail(`{"type":"nhn:sfm:journal-id","value":{"journal_id":"8a4b6b0e-52b5-4c6b-9d0c-3f5d5a0e7c11"}}`),
		}
		keys      = make(map[string]cacheKey)
		canonical = make(map[cacheKey]string)
		met       int
	)
	pick := func(values []string) string { return values[random.IntN(len(values))] }
	for range 20_000 {
		client := random.IntN(len(clients))
		request := TokenRequest{
			Resource:            pick([]string{"", "", "a", "aa", "b"}),
			JournalID:           pick(journals),
			Organization:        clientassertion.Organization{Parent: identity.OrganizationNumber(pick(numbers)), Child: identity.OrganizationNumber(pick(numbers))},
			AcceptMissingScopes: random.IntN(2) == 0,
		}
		for range random.IntN(4) {
			request.Scopes = append(request.Scopes, pick(scopes))
		}
		for range random.IntN(3) {
			request.Details = append(request.Details, details[random.IntN(len(details))])
		}
		if random.IntN(3) == 0 {
			request.Attest = &clientassertion.Attest{
				LegalEntity: "111222333", PurposeOfUse: clientassertion.PurposeTreatment,
				DecisionID: pick([]string{"a", "aa"}), UserSelected: random.IntN(2) == 0,
			}
		}
		prepared, err := clients[client].tokens.rules.prepare(request, systemOrigin)
		require.NoError(t, err)

		// The same in words, by another way than the code's.
		unique := map[string]bool{}
		for _, scope := range request.Scopes {
			unique[scope] = true
		}
		var names []string
		for name := range unique {
			names = append(names, strconv.Quote(name))
		}
		slices.Sort(names)
		var sent []string
		if request.Organization.Parent != "" || request.Organization.Child != "" {
			organization, err := clientassertion.OrganizationDetail(request.Organization, "", clientassertion.Variants{})
			require.NoError(t, err)
			sent = append(sent, organization.String())
		}
		if request.JournalID != "" {
			sent = append(sent, `{"type":"nhn:sfm:journal-id","value":{"journal_id":"`+request.JournalID+`"}}`)
		}
		if request.Attest != nil {
			attest, err := request.Attest.Detail()
			require.NoError(t, err)
			sent = append(sent, attest.String())
		}
		for _, detail := range request.Details {
			sent = append(sent, detail.String())
		}
		words := strconv.Itoa(client) + "|" + strconv.Quote(request.Resource)
		for _, list := range [][]string{names, sent} {
			words += "|"
			for _, text := range list {
				words += strconv.Quote(text) + ","
			}
		}

		if known, ok := keys[words]; ok {
			met++
			require.Equal(t, known, prepared.key, "one request, two keys: %s", words)
		}
		if other, ok := canonical[prepared.key]; ok {
			require.Equal(t, other, words, "two requests, one key")
		}
		keys[words], canonical[prepared.key] = prepared.key, words
	}
	require.Greater(t, met, 200)
	require.Greater(t, len(keys), 5000)
}

// Variants change what is sent, so that they change the key.
func TestCacheKeyFollowsVariants(t *testing.T) {
	t.Parallel()
	key, err := clientassertion.NewKey(mustSigner(), clientassertion.KeyOptions{})
	require.NoError(t, err)
	dpopKey := mustDPoPKey()
	seen := map[cacheKey]bool{}
	for _, variants := range []clientassertion.Variants{{}, {TrailingColon: true}} {
		client, err := New(Config{Issuer: "https://a.example.no", ClientID: "b", Key: key, DPoPKey: dpopKey, Variants: variants})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		prepared, err := client.tokens.rules.prepare(TokenRequest{Organization: clientassertion.Organization{Parent: "111222333"}}, systemOrigin)
		require.NoError(t, err)
		seen[prepared.key] = true
	}
	require.Len(t, seen, 2)
}
