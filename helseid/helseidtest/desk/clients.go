package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// clientsFile is the file of [Config.ClientsFile].
type clientsFile struct {
	Clients []clientEntry `json:"clients"`
	Users   []userEntry   `json:"users"`
	APIs    []apiEntry    `json:"apis"`
}

type clientEntry struct {
	ClientID               string            `json:"clientId"`
	ClientName             string            `json:"clientName"`
	PublicJWKs             []json.RawMessage `json:"publicJwks"`
	PrivateJWK             json.RawMessage   `json:"privateJwk"`
	Scopes                 []string          `json:"scopes"`
	GrantTypes             []string          `json:"grantTypes"`
	RedirectURIs           []string          `json:"redirectUris"`
	PostLogoutRedirectURIs []string          `json:"postLogoutRedirectUris"`
	ParentOrganization     string            `json:"parentOrganization"`
	ChildOrganizations     []string          `json:"childOrganizations"`
	MultiTenant            bool              `json:"multiTenant"`
	Delegations            []string          `json:"delegations"`
	BackChannelLogoutURI   string            `json:"backChannelLogoutUri"`
	FrontChannelLogoutURI  string            `json:"frontChannelLogoutUri"`

	AllowBearer    bool                `json:"allowBearer"`
	UnsignedTerms  map[string][]string `json:"unsignedTerms"`
	APIs           []string            `json:"apis"`
	Actors         []string            `json:"actors"`
	AudienceClaims map[string]string   `json:"audienceClaims"`

	// Further members of the files of HelseID Selvbetjening.
	Authority     json.RawMessage `json:"authority"`
	SecretType    json.RawMessage `json:"secretType"`
	PKCERequired  json.RawMessage `json:"pkceRequired"`
	RSAPrivateKey json.RawMessage `json:"rsaPrivateKey"`
	RSAKeySize    json.RawMessage `json:"rsaKeySizeBits"`
}

type userEntry struct {
	PersonalIdentityNumber string `json:"personalIdentityNumber"`
	GivenName              string `json:"givenName"`
	MiddleName             string `json:"middleName"`
	FamilyName             string `json:"familyName"`
	HPRNumber              string `json:"hprNumber"`
	SecurityLevel          int    `json:"securityLevel"`
	AssuranceLevel         string `json:"assuranceLevel"`
	IdentityProvider       string `json:"identityProvider"`
	Network                string `json:"network"`

	HPRApprovals []approvalEntry `json:"hprApprovals"`
}

// approvalEntry has the format of userinfo.
type approvalEntry struct {
	Profession        string             `json:"profession"`
	Authorization     identity.HPRCode   `json:"authorization"`
	RequisitionRights []identity.HPRCode `json:"requisition_rights"`
	Specialities      []identity.HPRCode `json:"specialities"`
}

type apiEntry struct {
	Name   string   `json:"name"`
	Claims []string `json:"claims"`
}

// errClients is wrapped by the errors about the file.
var errClients = fmt.Errorf("%w: the clients file", ErrConfig)

func (c clientEntry) client() (helseidtest.Client, error) {
	client := helseidtest.Client{
		ID: c.ClientID, Name: c.ClientName, Scopes: c.Scopes, GrantTypes: c.GrantTypes,
		RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		ParentOrganization: c.ParentOrganization, ChildOrganizations: c.ChildOrganizations,
		MultiTenant: c.MultiTenant, Delegations: c.Delegations,
		BackChannelLogoutURI: c.BackChannelLogoutURI, FrontChannelLogoutURI: c.FrontChannelLogoutURI,
		AllowBearer: c.AllowBearer, UnsignedTerms: c.UnsignedTerms, APIs: c.APIs, Actors: c.Actors, AudienceClaims: c.AudienceClaims,
	}
	if client.ParentOrganization == "" {
		client.ParentOrganization = mint.DefaultParentOrganization
		if c.MultiTenant {
			client.ParentOrganization = mint.DefaultSupplier
		}
	}
	if len(client.GrantTypes) == 0 && len(client.RedirectURIs) > 0 {
		client.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
	}
	for _, jwk := range c.PublicJWKs {
		client.PublicJWKs = append(client.PublicJWKs, jwk)
	}
	if len(c.PrivateJWK) > 0 {
		jwk := []byte(c.PrivateJWK)
		var text string
		if json.Unmarshal(jwk, &text) == nil {
			jwk = []byte(text)
		}
		key, err := clientassertion.ParseKey(jwk, clientassertion.KeyOptions{})
		if err != nil {
			return client, fmt.Errorf("privateJwk: %w", err)
		}
		client.PublicJWKs = append(client.PublicJWKs, key.PublicJWK())
	}
	return client, nil
}

// contents holds the checked contents of a file.
type contents struct {
	clients []helseidtest.Client
	users   []helseidtest.User
	apis    []helseidtest.API
}

// parseClients reads a file and reports all mistakes at once.
func parseClients(data []byte) (*contents, error) {
	var file clientsFile
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		var alone clientEntry
		if json.Unmarshal(data, &alone) == nil && alone.ClientID != "" {
			return nil, fmt.Errorf(`%w is that of a single client: write {"clients": [ … ]} around it`, errClients)
		}
		return nil, fmt.Errorf("%w is not of the right form: %w", errClients, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w holds more than one JSON object", errClients)
	}
	// The contents are first tried on a server that is not reachable from outside.
	trial, err := helseidtest.Start(helseidtest.InMemory())
	if err != nil {
		return nil, err
	}
	var (
		found contents
		errs  []error
		seen  = make(map[string]bool)
	)
	for i, entry := range file.Clients {
		client, err := entry.client()
		if err == nil {
			err = trial.AddClient(client)
		}
		if err == nil && seen["client "+client.ID] {
			err = errors.New("the clientId is there twice")
		}
		if seen["client "+client.ID] = true; err != nil {
			errs = append(errs, fmt.Errorf("clients[%d] (%s): %w", i, entry.ClientID, err))
		}
		found.clients = append(found.clients, client)
	}
	for i, entry := range file.Users {
		var approvals []identity.HPRApproval
		for _, approval := range entry.HPRApprovals {
			approvals = append(approvals, identity.HPRApproval(approval))
		}
		user := helseidtest.User{
			PersonalIdentityNumber: entry.PersonalIdentityNumber,
			GivenName:              entry.GivenName, MiddleName: entry.MiddleName, FamilyName: entry.FamilyName,
			HPRNumber: entry.HPRNumber, HPRApprovals: approvals, SecurityLevel: entry.SecurityLevel,
			AssuranceLevel: entry.AssuranceLevel, IdentityProvider: entry.IdentityProvider, Network: entry.Network,
		}
		err := trial.AddUser(user)
		if err == nil && seen["user "+user.PersonalIdentityNumber] {
			err = errors.New("the personalIdentityNumber is there twice")
		}
		if seen["user "+user.PersonalIdentityNumber] = true; err != nil {
			errs = append(errs, fmt.Errorf("users[%d]: %w", i, err))
		}
		found.users = append(found.users, user)
	}
	for i, entry := range file.APIs {
		api := helseidtest.API(entry)
		err := trial.AddAPI(api)
		if err == nil && seen["api "+api.Name] {
			err = errors.New("the name is there twice")
		}
		if seen["api "+api.Name] = true; err != nil {
			errs = append(errs, fmt.Errorf("apis[%d]: %w", i, err))
		}
		found.apis = append(found.apis, api)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", errClients, err)
	}
	return &found, nil
}

// registry keeps the server's clients and users up to date with the file.
type registry struct {
	server  *helseidtest.Server
	path    string
	builtIn map[string]helseidtest.User
	last    []byte // the file as it was last read, valid or not
	applied contents
}

func newRegistry(server *helseidtest.Server, path string) *registry {
	r := &registry{server: server, path: path, builtIn: make(map[string]helseidtest.User)}
	for _, user := range server.Users() {
		r.builtIn[user.PersonalIdentityNumber] = user
	}
	return r
}

// reload reads the file. If it has changed and has no mistakes, its clients and users
// replace those of the server.
func (r *registry) reload() (changed bool, err error) {
	data, err := os.ReadFile(r.path)
	if err != nil {
		data = []byte(err.Error()) // so that it is reported once
	}
	if bytes.Equal(data, r.last) {
		return false, nil
	}
	r.last = data
	if err != nil {
		return true, fmt.Errorf("%w: %w", errClients, err)
	}
	next, err := parseClients(data)
	if err != nil {
		return true, err
	}
	return true, r.apply(next)
}

func (r *registry) apply(next *contents) error {
	clients, users := make(map[string]bool), make(map[string]bool)
	var errs []error
	apis := make(map[string]bool)
	for _, api := range next.apis {
		apis[api.Name] = true
		errs = append(errs, r.server.AddAPI(api))
	}
	for _, old := range r.applied.apis {
		if !apis[old.Name] {
			r.server.RemoveAPI(old.Name)
		}
	}
	for _, client := range next.clients {
		clients[client.ID] = true
		errs = append(errs, r.server.AddClient(client))
	}
	for _, user := range next.users {
		users[user.PersonalIdentityNumber] = true
		errs = append(errs, r.server.AddUser(user))
	}
	for _, old := range r.applied.clients {
		if !clients[old.ID] {
			r.server.RemoveClient(old.ID)
		}
	}
	for _, old := range r.applied.users {
		number := old.PersonalIdentityNumber
		if users[number] {
			continue
		}
		if original, ok := r.builtIn[number]; ok {
			errs = append(errs, r.server.AddUser(original))
		} else {
			r.server.RemoveUser(number)
		}
	}
	r.applied = *next
	return errors.Join(errs...) // unreachable: the trial server has accepted them
}

func (r *registry) tell(report *report) {
	report.say(event{"event": "clients_loaded", "clients": len(r.applied.clients), "users": len(r.applied.users), "apis": len(r.applied.apis)},
		"%s has %s, %s and %s", r.path, counted(len(r.applied.clients), "client"), counted(len(r.applied.users), "user"), counted(len(r.applied.apis), "API"))
}

const watchInterval = 250 * time.Millisecond

// watch checks the file until the context ends.
func (r *registry) watch(ctx context.Context, report *report) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch changed, err := r.reload(); {
		case err != nil:
			report.say(event{"event": "clients_refused", "problem": err.Error()}, "nothing is changed: %v", err)
		case changed:
			r.tell(report)
		}
	}
}
