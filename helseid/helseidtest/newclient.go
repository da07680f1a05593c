package helseidtest

import (
	"cmp"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/uuid"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/jose"
)

// ClientOption describes the client to register: [Scopes], [RedirectURI], [Delegations]
// and [SigningKey], or a whole registration, a [Client]. Options apply in the order
// given, so a Client must come first.
type ClientOption interface {
	apply(*registration)
}

// registration is a client that is not registered yet.
type registration struct {
	client  Client
	keyed   bool // otherwise it gets a new EC key
	signer  crypto.Signer
	options clientassertion.KeyOptions
	err     error
}

type clientOption func(*registration)

func (o clientOption) apply(r *registration) { o(r) }

func (c Client) apply(r *registration) { r.client = c }

// Scopes grants the client API scopes.
func Scopes(scopes ...string) ClientOption {
	return clientOption(func(r *registration) { r.client.Scopes = append(slices.Clip(r.client.Scopes), scopes...) })
}

// RedirectURI registers the client for user logins with this redirect URI. After a
// logout, users may be redirected to the root of the same host. The client may request
// all identity scopes and offline_access, and tokens of its own as a system.
func RedirectURI(uri string) ClientOption {
	return clientOption(func(r *registration) {
		target, err := url.Parse(uri)
		if err != nil || target.Scheme == "" || target.Host == "" {
			r.err = errors.New("helseidtest: the redirect URI is not an absolute URL")
			return
		}
		r.client.RedirectURIs = append(slices.Clip(r.client.RedirectURIs), uri)
		r.client.PostLogoutRedirectURIs = append(slices.Clip(r.client.PostLogoutRedirectURIs), target.Scheme+"://"+target.Host+"/")
	})
}

// Delegations makes the client multi-tenant, with delegations from these organisations.
// Its supplier is [mint.DefaultSupplier].
func Delegations(parents ...string) ClientOption {
	return clientOption(func(r *registration) {
		r.client.MultiTenant, r.client.Delegations = true, append(slices.Clip(r.client.Delegations), parents...)
	})
}

// SigningKey makes the client sign with the caller's key instead of a new EC key.
func SigningKey(signer crypto.Signer, options clientassertion.KeyOptions) ClientOption {
	return clientOption(func(r *registration) { r.keyed, r.signer, r.options = true, signer, options })
}

// NewClient registers a client and returns its configuration, which can be passed to
// [helseid.New]. If a [Client] is given, its ID, Name and ParentOrganization are filled
// in if they are empty, and the new key is added to PublicJWKs. The configuration of a
// multi-tenant client has a Tenancy. It panics if an option has an invalid
// argument.
func (s *Server) NewClient(opts ...ClientOption) helseid.Config {
	config, _, err := s.register(opts)
	if err != nil {
		panic(err)
	}
	return config
}

// ConfigFile works like [Server.NewClient] and returns the configuration in the format of HelseID
// Selvbetjening. Write it to a file for [helseid.LoadConfig]. It also panics if the key
// of [SigningKey] cannot be exported.
func (s *Server) ConfigFile(opts ...ClientOption) []byte {
	config, asked, err := s.register(opts)
	if err != nil {
		panic(err)
	}
	file, err := configFile(config, asked)
	if err != nil {
		panic(fmt.Errorf("helseidtest: %w", err))
	}
	return file
}

// register completes a registration with a key and an id.
func (s *Server) register(opts []ClientOption) (helseid.Config, *registration, error) {
	asked := &registration{}
	for _, option := range opts {
		option.apply(asked)
	}
	if asked.err == nil && !asked.keyed {
		asked.signer, asked.err = newECKey()
	}
	if asked.err != nil {
		return helseid.Config{}, nil, asked.err
	}
	key, err := clientassertion.NewKey(asked.signer, asked.options)
	if err != nil {
		return helseid.Config{}, nil, fmt.Errorf("helseidtest: %w", err)
	}
	client, owner, tenancy := asked.client, mint.DefaultParentOrganization, identity.Tenancy("")
	if client.MultiTenant {
		owner, tenancy = mint.DefaultSupplier, identity.MultiTenant
	}
	client.ID = cmp.Or(client.ID, uuid.New())
	client.Name = cmp.Or(client.Name, "helseidtest client")
	client.ParentOrganization = cmp.Or(client.ParentOrganization, owner)
	client.PublicJWKs = append(slices.Clip(client.PublicJWKs), key.PublicJWK())
	if err := s.AddClient(client); err != nil {
		return helseid.Config{}, nil, err
	}
	registered := s.client(client.ID)
	return helseid.Config{
		Issuer: s.Issuer(), ClientID: client.ID, Key: key, HTTPClient: s.HTTPClient(), Tenancy: tenancy,
		Registered: helseid.Registration{
			ClientName:             registered.Name,
			GrantTypes:             registered.GrantTypes,
			Scopes:                 registered.Scopes,
			RedirectURIs:           registered.RedirectURIs,
			PostLogoutRedirectURIs: registered.PostLogoutRedirectURIs,
		},
	}, asked, nil
}

// configFile writes a configuration in the format of Selvbetjening.
func configFile(config helseid.Config, asked *registration) ([]byte, error) {
	key, err := jose.NewKey(asked.signer, jose.KeyOptions{Algorithm: jose.Algorithm(asked.options.Algorithm), ID: asked.options.KeyID})
	if err != nil {
		return nil, err
	}
	jwk, err := key.MarshalPrivateJWK()
	if err != nil {
		return nil, err
	}
	file := map[string]any{
		"clientName": config.Registered.ClientName,
		"authority":  config.Issuer,
		"clientId":   config.ClientID,
		"grantTypes": config.Registered.GrantTypes,
		"scopes":     config.Registered.Scopes,
		"secretType": "private_key_jwt:RsaPrivateKeyJwtSecret",
		"privateJwk": string(jwk),
	}
	if slices.Contains(config.Registered.GrantTypes, grantCode) {
		file["redirectUris"] = config.Registered.RedirectURIs
		file["postLogoutRedirectUris"] = config.Registered.PostLogoutRedirectURIs
		file["pkceRequired"] = true
	}
	return json.MarshalIndent(file, "", "  ")
}
