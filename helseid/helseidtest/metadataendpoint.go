package helseidtest

import (
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
	"github.com/helseid-go/sdk/helseid/helseidtest/internal/claim"
)

// serveMetadata returns a document with the members of HelseID's production
// environment, most of which a client must not use.
func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	algorithms := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
	document := map[string]any{
		"issuer":                                         s.issuer,
		"jwks_uri":                                       s.issuer + string(EndpointJWKS),
		"authorization_endpoint":                         s.issuer + string(EndpointAuthorize),
		"token_endpoint":                                 s.issuer + string(EndpointToken),
		"userinfo_endpoint":                              s.issuer + string(EndpointUserInfo),
		"end_session_endpoint":                           s.issuer + string(EndpointEndSession),
		"check_session_iframe":                           s.issuer + "/connect/checksession",
		"revocation_endpoint":                            s.issuer + string(EndpointRevocation),
		"introspection_endpoint":                         s.issuer + "/connect/introspect",
		"device_authorization_endpoint":                  s.issuer + "/connect/deviceauthorization",
		"backchannel_authentication_endpoint":            s.issuer + "/connect/ciba",
		"pushed_authorization_request_endpoint":          s.issuer + string(EndpointPAR),
		"expired_jwks_uri":                               s.issuer + "/connect/expiredjwks",
		"available_idps":                                 s.issuer + string(endpointAvailableIDPs),
		"require_pushed_authorization_requests":          false,
		"frontchannel_logout_supported":                  true,
		"frontchannel_logout_session_supported":          true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"authorization_response_iss_parameter_supported": true,
		"request_parameter_supported":                    true,
		"backchannel_user_code_parameter_supported":      true,
		"backchannel_token_delivery_modes_supported":     []string{"poll"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"code_challenge_methods_supported":               []string{"plain", "S256"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"response_modes_supported":                       []string{"form_post", "query", "fragment"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"request_object_signing_alg_values_supported":    append(algorithms, "HS256", "HS384", "HS512"),
		"dpop_signing_alg_values_supported":              algorithms,
		"response_types_supported": []string{
			"code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token",
		},
		"grant_types_supported": []string{
			"authorization_code", "client_credentials", "refresh_token", "implicit",
			"urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba",
			"urn:ietf:params:oauth:grant-type:token-exchange",
		},
		"scopes_supported": []string{
			"openid", "profile", "offline_access",
			"helseid://scopes/client/info", "helseid://scopes/client/client_name",
			"helseid://scopes/identity/assurance_level", "helseid://scopes/identity/pid",
			"helseid://scopes/identity/pid_pseudonym", "helseid://scopes/identity/security_level",
			"helseid://scopes/identity/network", "nhn:tillitsrammeverk:parameters", "nhn:sfm:journal-id",
			"helseid://scopes/hpr/hpr_number",
		},
		"claims_supported": []string{
			"name", "family_name", "given_name", "middle_name",
			"helseid://claims/identity/assurance_level", claim.PID, "helseid://claims/identity/pid_pseudonym",
			claim.SecurityLevel, "helseid://claims/identity/network", claim.HPRNumber,
			claim.ClientName, claim.ClientTenancy, claim.Parent, claim.Child, claim.Supplier, "client_amr",
		},
	}
	if s.options.textBooleans {
		for name, value := range document {
			if value == true && strings.Contains(name, "_logout_") {
				document[name] = "true"
			}
		}
	}
	answer.JSON(w, http.StatusOK, document)
}

// serveAvailableIDPs returns the names that acr_values accepts after "idp:". HelseID
// has not published the format of its own response.
func (s *Server) serveAvailableIDPs(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, s.identityProviders())
}
