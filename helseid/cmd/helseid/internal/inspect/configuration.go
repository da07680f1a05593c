package inspect

import (
	"encoding/json"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/keytext"
)

// inspectConfiguration judges a client's configuration file as helseid.ParseConfig and
// helseid.New do, which report all mistakes.
func inspectConfiguration(text string) *report {
	r := &report{kind: kindConfiguration}
	r.keeps("configuration")
	config, err := helseid.ParseConfig([]byte(text))
	if err == nil {
		var client *helseid.Client
		if client, err = helseid.New(config); err == nil {
			client.Close()
		}
	}
	if err != nil {
		for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), helseid.ErrConfig.Error()+": "), "\n") {
			r.breaks("configuration", line)
		}
	}
	content, err := json.Marshal(struct {
		Authority              string   `json:"authority,omitempty"`
		ClientID               string   `json:"clientId,omitempty"`
		ClientName             string   `json:"clientName,omitempty"`
		GrantTypes             []string `json:"grantTypes,omitempty"`
		Scopes                 []string `json:"scopes,omitempty"`
		RedirectURIs           []string `json:"redirectUris,omitempty"`
		PostLogoutRedirectURIs []string `json:"postLogoutRedirectUris,omitempty"`
	}{
		config.Issuer, config.ClientID, config.Registered.ClientName, config.Registered.GrantTypes,
		config.Registered.Scopes, config.Registered.RedirectURIs, config.Registered.PostLogoutRedirectURIs,
	})
	if err == nil {
		r.show("what the SDK reads of it", content)
	}
	r.hintEnvironment(config.Issuer)
	if config.Key == nil {
		return r
	}
	if key, err := keytext.OfClient(config.Key); err == nil {
		r.showKey("privateJwk", key, key.ID)
	}
	return r
}

func (r *report) hintEnvironment(issuer string) {
	switch helseid.Environment(strings.TrimRight(issuer, "/")) {
	case helseid.Production:
		r.hint("the client is one of HelseID in production")
	case helseid.Test:
		r.hint("the client is one of HelseID's test environment")
	case "":
	default:
		r.hint("authority is neither HelseID's test environment nor production")
	}
}
