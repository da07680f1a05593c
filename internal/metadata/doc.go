// Package metadata fetches and keeps the metadata document of an issuer (OpenID
// Connect Discovery), for the client and for the API side.
package metadata
