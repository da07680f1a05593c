package helseidtest

// Endpoint identifies an endpoint of the server by its path below the issuer. Endpoints
// that an option adds have no constant, for example "/selvbetjening/v1/client-secret".
type Endpoint string

// The endpoints, by their paths below the issuer.
const (
	EndpointMetadata   Endpoint = "/.well-known/openid-configuration"
	EndpointJWKS       Endpoint = "/.well-known/openid-configuration/jwks"
	EndpointToken      Endpoint = "/connect/token"
	EndpointPAR        Endpoint = "/connect/par"
	EndpointAuthorize  Endpoint = "/connect/authorize"
	EndpointUserInfo   Endpoint = "/connect/userinfo"
	EndpointRevocation Endpoint = "/connect/revocation"
	EndpointEndSession Endpoint = "/connect/endsession"

	// EndpointAll stands for all endpoints in a [Fault] and in [Server.Requests].
	EndpointAll Endpoint = "*"
)

const (
	endpointLogin         Endpoint = "/login" // with LoginPage
	endpointAvailableIDPs Endpoint = "/connect/availableidps"
)
