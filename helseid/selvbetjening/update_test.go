package selvbetjening_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/helseid/selvbetjening"
	"github.com/helseid-go/sdk/internal/testkit"
)

const claimType = "nhn:new-api/client/claims/some-id"

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helseidtest.Selvbetjening{ManualApproval: true})
	self := w.self()
	ctx := t.Context()
	require.NoError(t, self.Update(ctx, func(c *selvbetjening.Configuration) error {
		require.ElementsMatch(t, []string{selvbetjening.Scope, otherScope}, c.Scopes)
		c.Scopes = append(c.Scopes, "nhn:new-api/read")
		c.Claims = append(c.Claims, selvbetjening.Claim{Type: claimType, Value: "1"})
		c.RedirectURIs = []string{"https://app.example.no/callback"}
		c.PostLogoutRedirectURIs = []string{"https://app.example.no/"}
		c.ChildOrganizations = []identity.OrganizationNumber{"999977775"}
		return nil
	}))
	status, err := self.ClientStatus(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, status.Claims[0].Reason)
	require.NotEmpty(t, status.Scopes[2].Reason)
	status.Claims[0].Reason, status.Scopes[2].Reason = "", ""
	require.Equal(t, &selvbetjening.ClientStatus{
		Scopes: []selvbetjening.ScopeStatus{
			{Scope: selvbetjening.Scope, Status: selvbetjening.StatusOK},
			{Scope: otherScope, Status: selvbetjening.StatusOK},
			{Scope: "nhn:new-api/read", Status: selvbetjening.StatusPending},
		},
		Claims:                 []selvbetjening.ClaimStatus{{Type: claimType, Pending: "1", Status: selvbetjening.StatusPending}},
		RedirectURIs:           []string{"https://app.example.no/callback"},
		PostLogoutRedirectURIs: []string{"https://app.example.no/"},
		ChildOrganizations:     []identity.OrganizationNumber{"999977775"},
	}, status)

	// An update of one thing leaves the others as they are, also those that wait.
	require.NoError(t, self.Update(ctx, func(c *selvbetjening.Configuration) error {
		c.ChildOrganizations = append(c.ChildOrganizations, "999977776")
		return nil
	}))
	again, err := self.ClientStatus(ctx)
	require.NoError(t, err)
	require.Equal(t, []identity.OrganizationNumber{"999977775", "999977776"}, again.ChildOrganizations)
	require.Len(t, again.Scopes, 3)
	require.Equal(t, selvbetjening.StatusPending, again.Scopes[2].Status)
	require.Equal(t, "1", again.Claims[0].Pending)
	require.Equal(t, status.RedirectURIs, again.RedirectURIs)
	require.Equal(t, status.PostLogoutRedirectURIs, again.PostLogoutRedirectURIs)

	// Of a claim whose update waits, it is the value that waits that is kept.
	require.NoError(t, w.server.Approve(w.config.ClientID))
	require.NoError(t, self.Update(ctx, func(c *selvbetjening.Configuration) error {
		c.Claims[0].Value = "2"
		return nil
	}))
	require.NoError(t, self.Update(ctx, func(c *selvbetjening.Configuration) error {
		c.RedirectURIs = nil
		return nil
	}))
	again, err = self.ClientStatus(ctx)
	require.NoError(t, err)
	require.Empty(t, again.RedirectURIs)
	require.Equal(t, selvbetjening.StatusUpdatePending, again.Claims[0].Status)
	require.Equal(t, []string{"1", "2"}, []string{again.Claims[0].Active, again.Claims[0].Pending})
}

// registrationAPI is an API whose registration is always the same.
func registrationAPI(t testing.TB, document string) *fakeAPI {
	t.Helper()
	return newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, document)
	})
}

func bodyOfPut(t testing.TB, fake *fakeAPI) string {
	t.Helper()
	require.Equal(t, 1, fake.count(http.MethodPut))
	requests := fake.received()
	last := requests[len(requests)-1]
	require.Equal(t, "PUT /v1/client", last.method+" "+last.path)
	require.Equal(t, "application/json", last.header.Get("Content-Type"))
	return last.body
}

func addChild(c *selvbetjening.Configuration) error {
	c.ChildOrganizations = append(c.ChildOrganizations, "999977775")
	return nil
}

// The whole is sent, in the form of PUT, with what is not known as it was.
func TestUpdateKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	document := `{ "futureList" : [ {"b":1.50,"a":"\u00e5"}, null ],
		"apiScopes":[{"scope":"nhn:selvbetjening/client","status":"ok"},{"scope":"nhn:x","status":"pending","statusReason":"r","more":1},{"scope":"nhn:y","status":"rejected"}],
		"audienceSpecificClientClaims":[
			{"claimType":"nhn:x/client/claims/a","activeClaimValue":"1","pendingClaimValue":null,"status":"ok"},
			{"claimType":"nhn:x/client/claims/b","activeClaimValue":"1","pendingClaimValue":"2","status":"updatePending"},
			{"claimType":"nhn:x/client/claims/c","activeClaimValue":null,"pendingClaimValue":"3","status":"pending"}],
		"redirectUris":["https://a.example.no/x?y=<&>","http://localhost:1/\u00e5"], "postLogoutRedirectUris":null,
		"childOrganizationNumbers":[], "futureNull":null, "futureText":"\ud83d\ude00", "futureNumber":1e2}`
	fake := registrationAPI(t, document)
	_, self := with(t, fake)
	require.NoError(t, self.Update(t.Context(), addChild))
	body := bodyOfPut(t, fake)
	require.JSONEq(t, `{"futureList":[{"b":1.50,"a":"å"},null],
		"apiScopes":["nhn:selvbetjening/client","nhn:x","nhn:y"],
		"audienceSpecificClientClaims":[{"key":"nhn:x/client/claims/a","value":"1"},{"key":"nhn:x/client/claims/b","value":"2"},{"key":"nhn:x/client/claims/c","value":"3"}],
		"redirectUris":["https://a.example.no/x?y=<&>","http://localhost:1/å"],"postLogoutRedirectUris":[],
		"childOrganizationNumbers":["999977775"],"futureNull":null,"futureText":"😀","futureNumber":1e2}`, body)
	for _, raw := range []string{`[ {"b":1.50,"a":"\u00e5"}, null ]`, `"futureText":"\ud83d\ude00"`, `"futureNumber":1e2`} {
		require.Contains(t, body, raw, "letter by letter")
	}
}

// Where it cannot be told what the client would lose, nothing is sent.
func TestUpdateRefusesHalfARegistration(t *testing.T) {
	t.Parallel()
	scope := `{"scope":"nhn:selvbetjening/client","status":"ok","statusReason":null}`
	documents := map[string]string{
		"empty":                     `{}`,
		"a list":                    `[]`,
		"null":                      `null`,
		"cut off":                   registered[:len(registered)-1],
		"two documents":             registered + registered,
		"a member twice":            strings.Replace(registered, `{`, `{"redirectUris":["https://a.example.no"],`, 1),
		"a member in another case":  strings.Replace(registered, `{`, `{"RedirectUris":["https://a.example.no"],`, 1),
		"a scope without a name":    strings.Replace(registered, scope, scope+`,{"status":"ok"}`, 1),
		"a scope that is a text":    strings.Replace(registered, scope, scope+`,"nhn:x"`, 1),
		"a claim without a value":   strings.Replace(registered, `Claims":[]`, `Claims":[{"claimType":"nhn:x/client/claims/a","activeClaimValue":null,"pendingClaimValue":null}]`, 1),
		"a claim without a name":    strings.Replace(registered, `Claims":[]`, `Claims":[{"activeClaimValue":"1"}]`, 1),
		"a claim that is a number":  strings.Replace(registered, `Claims":[]`, `Claims":[{"claimType":"nhn:x/client/claims/a","activeClaimValue":1}]`, 1),
		"children that are numbers": strings.Replace(registered, `Numbers":[]`, `Numbers":[999977775]`, 1),
		"children that are objects": strings.Replace(registered, `Numbers":[]`, `Numbers":[{"number":"999977775"}]`, 1),
		"a list that is a text":     strings.Replace(registered, `redirectUris":[]`, `redirectUris":"https://a.example.no"`, 1),
	}
	for _, member := range []string{"apiScopes", "audienceSpecificClientClaims", "redirectUris", "postLogoutRedirectUris", "childOrganizationNumbers"} {
		documents["without "+member] = withoutMember(registered, member)
	}
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := registrationAPI(t, document)
			_, self := with(t, fake)
			err := self.Update(t.Context(), func(*selvbetjening.Configuration) error {
				t.Error("there is nothing to change")
				return nil
			})
			require.ErrorIs(t, err, helseid.ErrInvalidResponse)
			require.Zero(t, fake.count(http.MethodPut))
		})
	}
	t.Run("a status can be read without some lists", func(t *testing.T) {
		t.Parallel()
		fake := registrationAPI(t, `{"apiScopes":[`+scope+`],"redirectUris":null}`)
		_, self := with(t, fake)
		status, err := self.ClientStatus(t.Context())
		require.NoError(t, err)
		require.Equal(t, &selvbetjening.ClientStatus{Scopes: []selvbetjening.ScopeStatus{{Scope: selvbetjening.Scope, Status: selvbetjening.StatusOK}}}, status)
	})
}

func TestUpdateChangesAreChecked(t *testing.T) {
	t.Parallel()
	document := strings.Replace(registered, `Numbers":[]`, `Numbers":["1"]`, 1) // as HelseID has it
	for name, c := range map[string]struct {
		change   func(*selvbetjening.Configuration)
		problems []string
	}{
		"its own scope": {func(c *selvbetjening.Configuration) { c.Scopes = []string{"nhn:x"} }, []string{"removes the scope nhn:selvbetjening/client"}},
		"everything":    {func(c *selvbetjening.Configuration) { *c = selvbetjening.Configuration{} }, []string{"removes the scope"}},
		"all mistakes": {func(c *selvbetjening.Configuration) {
			c.Scopes = append(c.Scopes, "nhn:good", "a b", "")
			c.Claims = []selvbetjening.Claim{{Type: claimType, Value: "1"}, {Type: "", Value: "x"}, {Type: "a"}}
			c.RedirectURIs = []string{"https://app.example.no/", "/callback", "https://app.example.no/#x"}
			c.PostLogoutRedirectURIs = []string{"app.example.no"}
			c.ChildOrganizations = append(c.ChildOrganizations, "999977775", "12")
		}, []string{"Scopes[2]", "Scopes[3]", "Claims[1]", "Claims[2]", "RedirectURIs[1]", "RedirectURIs[2]", "PostLogoutRedirectURIs[0]", "ChildOrganizations[2]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := registrationAPI(t, document)
			_, self := with(t, fake)
			err := self.Update(t.Context(), func(configuration *selvbetjening.Configuration) error {
				c.change(configuration)
				return nil
			})
			require.ErrorIs(t, err, helseid.ErrConfig)
			for _, problem := range c.problems {
				require.ErrorContains(t, err, problem)
			}
			require.Equal(t, len(c.problems), strings.Count(err.Error(), "field ")+strings.Count(err.Error(), "removes"), err)
			require.Zero(t, fake.count(http.MethodPut))
		})
	}
	t.Run("what HelseID has is not judged", func(t *testing.T) {
		t.Parallel()
		fake := registrationAPI(t, document)
		_, self := with(t, fake)
		require.NoError(t, self.Update(t.Context(), addChild))
		require.Contains(t, bodyOfPut(t, fake), `"childOrganizationNumbers":["1","999977775"]`)
	})
	t.Run("an error of the change", func(t *testing.T) {
		t.Parallel()
		fake := registrationAPI(t, document)
		_, self := with(t, fake)
		mine := errors.New("not today")
		require.ErrorIs(t, self.Update(t.Context(), func(c *selvbetjening.Configuration) error {
			c.Scopes = nil
			return mine
		}), mine)
		require.Zero(t, fake.count(http.MethodPut))
		require.NoError(t, self.Update(t.Context(), addChild), "the next one is free to go")
	})
	t.Run("no change", func(t *testing.T) {
		t.Parallel()
		fake := registrationAPI(t, document)
		_, self := with(t, fake)
		require.NoError(t, self.Update(t.Context(), func(c *selvbetjening.Configuration) error {
			c.RedirectURIs = []string{}
			slices.Sort(c.Scopes)
			return nil
		}))
		require.Zero(t, fake.count(http.MethodPut))
		require.ErrorIs(t, self.Update(t.Context(), nil), helseid.ErrConfig)
	})
	t.Run("the old lists are the caller's no more", func(t *testing.T) {
		t.Parallel()
		fake := registrationAPI(t, strings.Replace(document, `redirectUris":[]`, `redirectUris":["https://b.example.no","https://a.example.no"]`, 1))
		_, self := with(t, fake)
		require.NoError(t, self.Update(t.Context(), func(c *selvbetjening.Configuration) error {
			slices.Sort(c.RedirectURIs)
			return nil
		}))
		require.Contains(t, bodyOfPut(t, fake), `"redirectUris":["https://a.example.no","https://b.example.no"]`)
	})
}

// Updates take turns, so that none is lost; who does not want to wait leaves.
func TestUpdatesTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		self := newWorld(t).self()
		inside, entered := 0, 0
		update := func(number identity.OrganizationNumber) <-chan error {
			done := make(chan error, 1)
			go func() {
				done <- self.Update(t.Context(), func(c *selvbetjening.Configuration) error {
					inside++
					entered++
					assert.Equal(t, 1, inside)
					testkit.Sleep(time.Minute)
					inside--
					c.ChildOrganizations = append(c.ChildOrganizations, number)
					return nil
				})
			}()
			return done
		}
		first := update("999977775")
		synctest.Wait()
		second := update("999977776")
		synctest.Wait()
		require.Equal(t, 1, entered, "the second waits for the first")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, self.Update(ctx, addChild), context.DeadlineExceeded)
		require.NoError(t, <-first)
		require.NoError(t, <-second)
		status, err := self.ClientStatus(t.Context())
		require.NoError(t, err)
		require.Equal(t, []identity.OrganizationNumber{"999977775", "999977776"}, status.ChildOrganizations)
	})
}

func TestDelegations(t *testing.T) {
	t.Parallel()
	const parent = "994598759"
	server := helseidtest.NewServer(t, helseidtest.Selvbetjening{}, helseidtest.InMemory())
	w := startWorld(t, server, server.NewClient(helseidtest.Delegations(parent), helseidtest.Scopes(selvbetjening.Scope)))
	self := w.self(func(config *selvbetjening.Config) { config.Organization.Parent = parent })
	delegations, err := self.Delegations(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `[{"organizationNumber":"994598759"}]`, string(delegations))

	for body, want := range map[string]string{` {"list":[ ]} `: `{"list":[ ]}`, `[]`: `[]`, `null`: `null`} {
		_, self := with(t, newFakeAPI(t, answering(http.StatusOK, body)))
		delegations, err := self.Delegations(t.Context())
		require.NoError(t, err)
		require.Equal(t, json.RawMessage(want), delegations)
	}
	for _, body := range []string{``, `[`, `[]x`, `{"a":1,"a":2}`, "[\"\xff\"]", strings.Repeat("[", 50) + strings.Repeat("]", 50)} {
		_, self := with(t, newFakeAPI(t, answering(http.StatusOK, body)))
		delegations, err := self.Delegations(t.Context())
		require.ErrorIs(t, err, helseid.ErrInvalidResponse, body)
		require.Empty(t, delegations)
	}
}
