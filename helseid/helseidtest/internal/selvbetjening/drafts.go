package selvbetjening

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/uuid"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/clientkey"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// addDraft registers a draft, which a person confirms later. Drafts are for
// single-tenant clients only.
func (a *API) addDraft(r *http.Request) (any, *problem) {
	if r.Method != http.MethodPost {
		return nil, &problem{http.StatusMethodNotAllowed, "the endpoint takes POST only"}
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("api-key")), []byte(a.DraftAPIKey)) != 1 {
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
	key, err := clientkey.ParseEither([]byte(object.Get("publicJwk").Raw()))
	if err != nil {
		return nil, badRequest("publicJwk is not a public JWK: " + err.Error())
	}
	key.Origin = clientkey.FromAPI
	draft := Client{ID: uuid.New(), Keys: []clientkey.Key{key}}
	a.apply(wanted, &draft)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drafts[draft.ID] = Draft{Organization: organization, Client: draft}
	return map[string]any{"clientId": draft.ID}, nil
}

// serveConfirmClient is the page on which the person confirms a draft. It confirms at
// once, and redirects to the program that waits on loopback.
func (a *API) serveConfirmClient(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.FormValue("redirectPort"), 10, 16)
	if r.Method != http.MethodGet || err != nil || port == 0 {
		badRequest("open the page with redirectPort and redirectPath").write(w, r)
		return
	}
	_, id, _ := strings.Cut(r.URL.Path, PathConfirmClient)
	a.mu.Lock()
	draft, found := a.drafts[id]
	delete(a.drafts, id)
	a.mu.Unlock()
	if !found {
		problem{http.StatusNotFound, "there is no such draft, or it has been confirmed"}.write(w, r)
		return
	}
	now := a.Registry.Now()
	for i := range draft.Client.Keys {
		key := &draft.Client.Keys[i]
		key.From, key.Until = now.Add(a.KeyDelay), now.Add(a.KeyLifetime)
	}
	a.Registry.AddClient(draft)
	target := url.URL{
		Scheme: "http", Host: "localhost:" + strconv.FormatUint(port, 10),
		Path: "/" + strings.TrimLeft(r.FormValue("redirectPath"), "/"), RawQuery: "status=Success",
	}
	http.Redirect(w, r, target.String(), http.StatusFound)
}
