package helseidtest

import (
	"crypto/subtle"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// What a scope's or a claim's status can be.
const (
	statusOK            = "ok"
	statusPending       = "pending"
	statusUpdatePending = "updatePending"
)

func (s *Server) showClient(_ *http.Request, client *Client) (any, *problem) {
	scopes := []map[string]any{}
	add := func(names []string, status string, reason any) {
		for _, name := range names {
			scopes = append(scopes, map[string]any{"scope": name, "status": status, "statusReason": reason})
		}
	}
	const waits = "the API's owner has not answered yet"
	add(client.Scopes, statusOK, nil)
	add(client.pendingScopes, statusPending, waits)
	claims := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(merged(client.AudienceClaims, client.pendingClaims))) {
		claim := map[string]any{"claimType": name, "activeClaimValue": nil, "pendingClaimValue": nil, "status": statusOK, "statusReason": nil}
		active, isActive := client.AudienceClaims[name]
		if isActive {
			claim["activeClaimValue"] = active
		}
		if pending, waiting := client.pendingClaims[name]; waiting {
			claim["pendingClaimValue"], claim["statusReason"], claim["status"] = pending, waits, statusPending
			if isActive {
				claim["status"] = statusUpdatePending
			}
		}
		claims = append(claims, claim)
	}
	return map[string]any{
		"apiScopes": scopes, "audienceSpecificClientClaims": claims,
		"redirectUris": orEmpty(client.RedirectURIs), "postLogoutRedirectUris": orEmpty(client.PostLogoutRedirectURIs),
		"childOrganizationNumbers": orEmpty(client.ChildOrganizations),
	}, nil
}

// wishes is what a client asks to be.
type wishes struct {
	scopes, redirects, logoutRedirects, children []string
	claims                                       map[string]string
}

// replaceClient replaces the whole configuration: a list that is null or left
// out is emptied.
func (s *Server) replaceClient(r *http.Request, client *Client) (any, *problem) {
	object, refused := readJSON(r)
	if refused != nil {
		return nil, refused
	}
	wanted, refused := readWishes(object)
	if refused != nil {
		return nil, refused
	}
	if err := s.changeClient(client.ID, func(client *Client) { wanted.apply(client, s.options.manualApproval) }); err != nil {
		return nil, &problem{http.StatusForbidden, "the token's client is not registered any more"}
	}
	return nil, nil
}

// apply makes the client what it wishes to be. With approval, what is new waits.
func (w wishes) apply(client *Client, approval bool) {
	granted, active := client.Scopes, client.AudienceClaims
	client.Scopes, client.AudienceClaims = nil, map[string]string{}
	client.pendingScopes, client.pendingClaims = nil, map[string]string{}
	for _, scope := range w.scopes {
		if approval && scope != SelvbetjeningScope && !slices.Contains(granted, scope) {
			client.pendingScopes = append(client.pendingScopes, scope)
		} else {
			client.Scopes = append(client.Scopes, scope)
		}
	}
	for name, value := range w.claims {
		before, known := active[name]
		if !approval || known && before == value {
			client.AudienceClaims[name] = value
			continue
		}
		client.pendingClaims[name] = value
		if known {
			client.AudienceClaims[name] = before
		}
	}
	client.RedirectURIs, client.PostLogoutRedirectURIs, client.ChildOrganizations = w.redirects, w.logoutRedirects, w.children
}

// addDraft registers a client that the person confirms whom it is for. Drafts
// are single-tenant clients only.
func (s *Server) addDraft(r *http.Request) (any, *problem) {
	if r.Method != http.MethodPost {
		return nil, &problem{http.StatusMethodNotAllowed, "the endpoint takes POST only"}
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("api-key")), []byte(DraftAPIKey)) != 1 {
		return nil, &problem{http.StatusUnauthorized, "the header api-key is missing or wrong: it must be helseidtest.DraftAPIKey"}
	}
	object, refused := readJSON(r)
	if refused != nil {
		return nil, refused
	}
	wanted, refused := readWishes(object)
	if refused != nil {
		return nil, refused
	}
	organization, _ := object.Get("organizationNumber").Text()
	if !orgnr.IsNumber(organization) {
		return nil, badRequest("organizationNumber is not an organisation number of nine digits")
	}
	if len(wanted.scopes) == 0 {
		return nil, badRequest("apiScopes is empty")
	}
	key, err := readPublicJWK([]byte(object.Get("publicJwk").Raw()))
	if err != nil {
		return nil, badRequest("publicJwk is not a public JWK: " + err.Error())
	}
	client := Client{ID: newUUID(), Name: "client draft", ParentOrganization: organization, GrantTypes: []string{grantClientCredentials}}
	if len(wanted.redirects) > 0 {
		client.GrantTypes = append(client.GrantTypes, grantCode, grantRefresh)
	}
	key.origin = "Api"
	client.PublicJWKs, client.keys = [][]byte{key.jwk}, []registeredKey{key}
	wanted.apply(&client, s.options.manualApproval)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drafts[client.ID] = &client
	return map[string]any{"clientId": client.ID}, nil
}

// serveConfirmClient is the page on which the person confirms a draft. It does
// so at once, and goes back to the program that is waiting on loopback.
func (s *Server) serveConfirmClient(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.FormValue("redirectPort"), 10, 16)
	if r.Method != http.MethodGet || err != nil || port == 0 {
		badRequest("open the page with redirectPort and redirectPath").write(w, r)
		return
	}
	id := strings.TrimPrefix(r.URL.Path, s.base+string(EndpointConfirmClient))
	s.mu.Lock()
	client, found := s.drafts[id]
	delete(s.drafts, id)
	if found {
		now := time.Now().Add(s.clockSkew)
		for i := range client.keys {
			client.keys[i].from, client.keys[i].until = now.Add(s.options.keyDelay), now.Add(s.options.keyLifetime)
		}
		s.clients[id] = client
	}
	s.mu.Unlock()
	if !found {
		problem{http.StatusNotFound, "there is no such draft, or it has been confirmed"}.write(w, r)
		return
	}
	target := url.URL{
		Scheme: "http", Host: "localhost:" + strconv.FormatUint(port, 10),
		Path: "/" + strings.TrimLeft(r.FormValue("redirectPath"), "/"), RawQuery: "status=Success",
	}
	http.Redirect(w, r, target.String(), http.StatusFound)
}

func (s *Server) listDelegations(_ *http.Request, client *Client) (any, *problem) {
	delegations := []map[string]any{}
	for _, parent := range client.delegationsAt(s.Now()) {
		delegations = append(delegations, map[string]any{"organizationNumber": parent})
	}
	return delegations, nil
}

func readJSON(r *http.Request) (jose.Object, *problem) {
	if !isJSON(r) {
		return jose.Object{}, &problem{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return jose.Object{}, &problem{http.StatusRequestEntityTooLarge, "the body is too large"}
	}
	object, err := jose.ParseObject(body)
	if err != nil {
		return jose.Object{}, badRequest("the body is not a JSON object: " + err.Error())
	}
	return object, nil
}

// readWishes reads what PUT /v1/client and client drafts have in common, and
// reports all mistakes at once.
func readWishes(object jose.Object) (wishes, *problem) {
	var wrong []string
	list := func(name string, check func(string) bool) []string {
		value := object.Get(name)
		if value.Absent() {
			return nil
		}
		values, ok := value.Array()
		texts := textsOf(value)
		if !ok || len(texts) != len(values) || slices.ContainsFunc(texts, func(text string) bool { return !check(text) }) {
			wrong = append(wrong, name)
		}
		return texts
	}
	isScope := func(text string) bool { return text != "" && !strings.ContainsAny(text, " \t\r\n") }
	isURI := func(text string) bool {
		parsed, err := url.Parse(text)
		return err == nil && parsed.Scheme != "" && parsed.Fragment == ""
	}
	wanted := wishes{
		scopes:          list("apiScopes", isScope),
		redirects:       list("redirectUris", isURI),
		logoutRedirects: list("postLogoutRedirectUris", isURI),
		children:        list("childOrganizationNumbers", orgnr.IsNumber),
		claims:          map[string]string{},
	}
	values, ok := object.Get("audienceSpecificClientClaims").Array()
	if !ok && !object.Get("audienceSpecificClientClaims").Absent() {
		wrong = append(wrong, "audienceSpecificClientClaims")
	}
	for _, value := range values {
		pair, _ := value.Object()
		name, named := pair.Get("key").Text()
		text, valued := pair.Get("value").Text()
		if !named || !valued || !strings.Contains(name, "/client/claims/") {
			wrong = append(wrong, "audienceSpecificClientClaims")
			break
		}
		wanted.claims[name] = text
	}
	if len(wrong) > 0 {
		return wishes{}, badRequest("these members are malformed: " + strings.Join(wrong, ", "))
	}
	return wanted, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// merged is a new map with what both have, the second's where they differ.
func merged(first, second map[string]string) map[string]string {
	all := maps.Clone(first)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, second)
	return all
}
