package main

import (
	"encoding/json"
	"os"
)

// A configFile has the form in which HelseID Selvbetjening hands out a client's configuration.
type configFile struct {
	ClientName string   `json:"clientName"`
	Authority  string   `json:"authority"`
	ClientID   string   `json:"clientId"`
	GrantTypes []string `json:"grantTypes"`
	Scopes     []string `json:"scopes"`
	SecretType string   `json:"secretType"`
	PrivateJWK string   `json:"privateJwk,omitempty"` // JSON inside a string

	RedirectURIs           []string `json:"redirectUris,omitempty"`
	PostLogoutRedirectURIs []string `json:"postLogoutRedirectUris,omitempty"`
}

func newConfigFile(client client) configFile {
	return configFile{
		ClientName: "Interop",
		// Nobody is there: only the issuer flag leads to a server.
		Authority:  "https://helseid.invalid",
		ClientID:   client.ClientID,
		GrantTypes: []string{"client_credentials"},
		// All that the client may ever use. The servers refuse these if they are sent as they are.
		Scopes:     []string{"openid", "profile", "helseid://scopes/identity/pid", "nhn:interop-api/read"},
		SecretType: "private_key_jwt:RsaPrivateKeyJwtSecret",
		PrivateJWK: encodeJWK(client.PrivateJWK),
	}
}

// newLoginConfigFile is that of a client that logs users in.
func newLoginConfigFile(client client, auth authState) configFile {
	config := newConfigFile(client)
	config.GrantTypes = []string{"authorization_code", "refresh_token"}
	config.RedirectURIs = []string{auth.RedirectURI}
	config.PostLogoutRedirectURIs = []string{auth.PostLogoutRedirectURI}
	return config
}

func encodeJWK(jwk map[string]any) string {
	encoded, err := json.Marshal(jwk)
	if err != nil {
		panic(err) // it was read from JSON or consists of strings
	}
	return string(encoded)
}

func (l *lab) writeConfig(config configFile) (string, error) {
	content, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return "", err
	}
	return l.writeFile(content)
}

func (l *lab) writeFile(content []byte) (string, error) {
	file, err := l.newFile("client-*.json")
	if err != nil {
		return "", err
	}
	return file, os.WriteFile(file, content, 0o600)
}

// newFile makes an empty file that only its owner can read.
func (l *lab) newFile(pattern string) (string, error) {
	file, err := os.CreateTemp(l.dir, pattern)
	if err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}
