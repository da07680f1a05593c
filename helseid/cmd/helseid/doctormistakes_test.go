//go:build !windows && !darwin

package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/testkit"
	"github.com/helseid-go/sdk/middleware"
)

var keyOptions clientassertion.KeyOptions

// Organisations: the first has delegated to the supplier, the others have not.
const (
	delegating    = "994598759"
	notDelegating = "999977774"
	subUnit       = "999977775"
)

var (
	single      = helseidtest.Client{Scopes: []string{demoScope}}
	multiTenant = helseidtest.Client{Scopes: []string{demoScope}, MultiTenant: true, Delegations: []string{delegating}}
	selfService = helseidtest.Client{Scopes: []string{demoScope, helseidtest.SelvbetjeningScope}}
	withSelf    = []helseidtest.Option{helseidtest.Selvbetjening{}}
	selfFlag    = []string{"-selvbetjening", "https://helseid.test/selvbetjening"}
)

// mistake is one thing that is wrong, and what the doctor says of it.
type mistake struct {
	options   []helseidtest.Option
	client    helseidtest.Client       // single if its Scopes are nil
	before    func(w *doctorWorld)     // the client is registered
	plant     func(w *doctorWorld)     // after that
	raw       func(file []byte) []byte // of the configuration file
	mode      os.FileMode              // of it, 0600 unless set
	url       bool                     // the API is called
	arguments []string                 // beyond -config
	bare      bool                     // the machine has no proxy
	step      string                   // that finds it
	problem   string                   // part of what it says
	remedies  []string                 // parts of it, in this order
	also      []string                 // other steps that suffer and say so
}

func member(name string, value any) func(*doctorWorld) {
	return func(w *doctorWorld) { w.file[name] = value }
}

func answering(hostAndPath string, answer http.HandlerFunc) func(*doctorWorld) {
	return func(w *doctorWorld) { w.answer[hostAndPath] = answer }
}

func status(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// wordless makes HelseID answer with nothing but the codes of OAuth.
func wordless(w *doctorWorld) { w.wordless = true }

// silence waits until the client has gone.
func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func guard(config middleware.Config, requirements ...middleware.Requirement) func(*doctorWorld) {
	return func(w *doctorWorld) { w.api = w.guarded(config, requirements...) }
}

func challenge(status int, challenge string) func(*doctorWorld) {
	return func(w *doctorWorld) { w.api = statusHandler(status, "", "WWW-Authenticate", challenge) }
}

func statusHandler(code int, body string, header ...string) http.Handler {
	return status(code, body, header...)
}

func proxyAnswers(code int, header ...string) func(*doctorWorld) {
	return func(w *doctorWorld) {
		w.connect = func(out http.ResponseWriter, r *http.Request) bool {
			status(code, "<html>", header...)(out, r)
			return true
		}
	}
}

const loginPage = `<html><form action="/login"><input name=user></form></html>`

func weakKey() string {
	return pemOf(testkit.Must(rsa.GenerateKey(rand.Reader, 1024)))
}

// changedKey changes members of the client's key.
func changedKey(change func(jwk map[string]any)) func(*doctorWorld) {
	return func(w *doctorWorld) {
		var jwk map[string]any
		if err := json.Unmarshal([]byte(w.file["privateJwk"].(string)), &jwk); err != nil {
			panic(err)
		}
		change(jwk)
		w.file["privateJwk"] = string(testkit.Must(json.Marshal(jwk)))
	}
}

func pemOf(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func newJWK() string {
	key := testkit.Must(clientassertion.NewKey(testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), clientassertion.KeyOptions{}))
	return string(testkit.Must(key.MarshalPrivateJWK()))
}

func secretMember(name string, value func() string) func(*doctorWorld) {
	return func(w *doctorWorld) {
		text := value()
		w.keepKey(text)
		w.file[name] = text
	}
}

func mistakes() map[string]mistake {
	skewed := func(by time.Duration) func(*doctorWorld) {
		return func(w *doctorWorld) { w.server.SetClockSkew(by) }
	}
	clientRemedies := []string{"1. ", "look for a client with the id", "2. ", "kid", "3. ", "expiry", "4. ", "alg", "ES256", "5. ", "20 seconds"}
	return map[string]mistake{
		// The file.
		"no file":                        {plant: func(w *doctorWorld) { w.path += ".missing" }, step: "file", problem: "there is no configuration file", remedies: []string{"-config", "Selvbetjening"}},
		"a file that all can read":       {mode: 0o644, step: "file", problem: "can be read by others than its owner (mode 0644)", remedies: []string{"chmod 600"}},
		"a file that the group can read": {mode: 0o640, step: "file", problem: "(mode 0640)", remedies: []string{"chmod 600"}},
		"PEM in place of the file":       {raw: func([]byte) []byte { return []byte(pemOf(testkit.RSA())) }, step: "file", problem: "is a key as PEM", remedies: []string{`"authority"`, "privateJwk"}},
		"a JWK in place of the file": {raw: func(file []byte) []byte {
			var members map[string]any
			_ = json.Unmarshal(file, &members)
			return []byte(members["privateJwk"].(string))
		}, step: "file", problem: "is a key as JWK", remedies: []string{"privateJwk"}},
		"a web page in place of the file, that all can read": {mode: 0o644, raw: func([]byte) []byte { return []byte(loginPage) }, step: "file", problem: "", also: []string{"file"}, remedies: []string{"chmod 600"}},
		"half a file":           {raw: func(file []byte) []byte { return file[:len(file)/2] }, step: "file", problem: "cut off", remedies: []string{"Download"}},
		"clientID for clientId": {plant: func(w *doctorWorld) { w.file["clientID"] = w.clientID; delete(w.file, "clientId") }, step: "members", problem: "there is clientID, but names are case-sensitive", remedies: []string{"Mend the member"}},
		"no authority":          {plant: func(w *doctorWorld) { delete(w.file, "authority") }, step: "members", problem: "authority is missing", remedies: []string{"https://helseid-sts.test.nhn.no"}},

		// The key.
		"PEM in another member": {plant: func(w *doctorWorld) {
			secretMember("privateKey", func() string { return pemOf(testkit.RSA()) })(w)
			delete(w.file, "privateJwk")
		}, step: "key", problem: "privateJwk is missing", remedies: []string{"PEM in the member privateKey", "move the text to the member privateJwk"}},
		"PEM in place of the client id": {plant: func(w *doctorWorld) {
			secretMember("clientId", func() string { return pemOf(testkit.RSA()) })(w)
			delete(w.file, "privateJwk")
		}, step: "key", problem: "privateJwk is missing", remedies: []string{"PEM in the member clientId"}, also: []string{"members"}},
		"the name of a file as key": {plant: member("privateJwk", "/etc/helseid/key.pem"), step: "key", problem: "neither a JWK", remedies: []string{"the text of the key itself"}},
		"an RSA key of 1024 bits":   {plant: secretMember("privateJwk", weakKey), step: "key", problem: "1024 bits", remedies: []string{"helseid key new", "register"}},
		"an alg that does not fit the key": {plant: func(w *doctorWorld) {
			w.file["privateJwk"] = strings.Replace(w.file["privateJwk"].(string), `"ES256"`, `"PS256"`, 1)
		}, step: "key", problem: "PS256 needs an RSA key", remedies: []string{"alg", "ES256"}},
		"a public key": {plant: func(w *doctorWorld) {
			key := testkit.Must(clientassertion.ParseKey([]byte(w.file["privateJwk"].(string)), clientassertion.KeyOptions{}))
			w.file["privateJwk"] = string(key.PublicJWK())
		}, step: "key", problem: "it is a public key", remedies: []string{"private key"}},

		"a key for encryption":   {plant: changedKey(func(jwk map[string]any) { jwk["use"] = "enc" }), step: "key", problem: `use is not "sig"`, remedies: []string{`"use": "sig"`}},
		"a key for checking":     {plant: changedKey(func(jwk map[string]any) { jwk["key_ops"] = []string{"verify"} }), step: "key", problem: "key_ops", remedies: []string{`["sign"]`, "leave key_ops out"}},
		"a kid that is a number": {plant: changedKey(func(jwk map[string]any) { jwk["kid"] = 7 }), step: "key", problem: "kid is not a string", remedies: []string{"in quotes"}},

		// The issuer.
		"an http issuer": {plant: member("authority", "http://helseid.test"), step: "environment", problem: "https is required", remedies: []string{"https://helseid.test"}},
		"an issuer with a password": {plant: func(w *doctorWorld) {
			w.keep("the-password-of-the-issuer")
			w.file["authority"] = "https://user:the-password-of-the-issuer@helseid.test"
		}, step: "environment", problem: "no query, fragment or user", remedies: []string{"without them", "authority", ": https://helseid.test."}},
		"an issuer with a query":            {plant: member("authority", "https://helseid.test/?a=b"), step: "environment", problem: "no query, fragment or user", remedies: []string{": https://helseid.test."}},
		"Selvbetjening as issuer":           {plant: member("authority", "https://selvbetjening.test.nhn.no"), step: "environment", problem: "Selvbetjening, which issues no tokens", remedies: []string{"https://helseid-sts.test.nhn.no"}},
		"the metadata's address as issuer":  {plant: member("authority", "https://helseid.test/.well-known/openid-configuration"), step: "environment", problem: "address of the metadata", remedies: []string{"to https://helseid.test."}},
		"a host that HelseID does not have": {plant: member("authority", "https://helseid.nhn.no"), step: "environment", problem: "none of HelseID's", remedies: []string{"https://helseid-sts.nhn.no"}},
		"the issuer of another server": {plant: func(w *doctorWorld) {
			w.file["authority"] = "https://other.example.no"
			w.answer["other.example.no/.well-known/openid-configuration"] = func(out http.ResponseWriter, r *http.Request) {
				write(out, testkit.Must(w.ask(r, nil)))
			}
		}, step: "metadata", problem: `it says "https://helseid.test"`, remedies: []string{"authority", "-issuer"}},
		"an issuer with a wrong path": {plant: member("authority", "https://helseid.test/auth"), step: "metadata", problem: "no HelseID at https://helseid.test/auth: it answers 404", remedies: []string{"authority", "path"}},

		// The clock.
		"a clock that is 70 seconds ahead":  {plant: skewed(-70 * time.Second), step: "clock", problem: "s ahead of HelseID's", remedies: []string{"Synchronise", "ntp.nhn.no"}},
		"a clock that is 70 seconds behind": {plant: skewed(70 * time.Second), step: "clock", problem: "s behind HelseID's", remedies: []string{"Synchronise", "ntp.nhn.no"}},

		// The network.
		"a name that is not found":         {bare: true, plant: member("authority", "https://"+strings.Repeat("a", 64)+".example.no"), step: "dns", problem: "is not found", remedies: []string{"spelling", "HTTPS_PROXY"}},
		"a connection that is refused":     {bare: true, plant: func(w *doctorWorld) { w.file["authority"] = "https://" + closedPort(w.t) }, step: "connection", problem: "refuses the connection", remedies: []string{"Start the server", "port"}},
		"a server that is silent":          {bare: true, arguments: []string{"-timeout", "1s"}, plant: func(w *doctorWorld) { w.file["authority"] = "http://" + silentPort(w.t) }, step: "metadata", problem: "does not answer in time", remedies: []string{"Try again", "firewall"}},
		"a server that is silent at TLS":   {bare: true, arguments: []string{"-timeout", "1s"}, plant: func(w *doctorWorld) { w.file["authority"] = "https://" + silentPort(w.t) }, step: "tls", problem: "silent when TLS begins", remedies: []string{"firewall"}},
		"plain http at the port for https": {bare: true, plant: func(w *doctorWorld) { w.file["authority"] = "https://" + w.proxy.Listener.Addr().String() }, step: "tls", problem: "does not answer with TLS", remedies: []string{"port"}},
		"a proxy that is not there": {plant: func(w *doctorWorld) {
			w.environment = []string{"HTTPS_PROXY=http://user:" + proxyPassword + "@" + closedPort(w.t)}
		}, step: "connection", problem: "the proxy 127.0.0.1:", remedies: []string{"HTTPS_PROXY", "NO_PROXY"}},
		"a proxy's address that is none": {plant: func(w *doctorWorld) {
			w.environment = []string{"HTTPS_PROXY=http://user:" + proxyPassword + "@host:port"}
		}, step: "proxy", problem: "is not the URL of a proxy", remedies: []string{"http://proxy.example.no:8080"}},
		"a proxy's address that is ignored": {plant: func(w *doctorWorld) {
			w.environment = []string{"HTTPS_PROXY=http://user:" + proxyPassword + "%zz@proxy.example.no:8080"}
			w.file["authority"] = "https://" + strings.Repeat("a", 64) + ".example.no"
		}, step: "proxy", problem: "is not the URL of a proxy", remedies: []string{"percent-encoded"}},
		"a proxy that demands a password": {plant: func(w *doctorWorld) {
			w.environment = []string{"HTTPS_PROXY=http://" + w.proxy.Listener.Addr().String()}
			proxyAnswers(http.StatusProxyAuthRequired)(w)
		}, step: "proxy", problem: "407 Proxy Authentication Required: it demands a user and a password", remedies: []string{"HTTPS_PROXY", "Kerberos", "NO_PROXY"}},
		"a proxy that refuses the password":     {plant: proxyAnswers(http.StatusProxyAuthRequired), step: "proxy", problem: "does not take the user and the password", remedies: []string{"Correct", "NO_PROXY"}},
		"a proxy that forbids the way":          {plant: proxyAnswers(http.StatusForbidden), step: "proxy", problem: "403 Forbidden", remedies: []string{"allow CONNECT to helseid.test:443"}},
		"a proxy with a login page":             {plant: proxyAnswers(http.StatusFound, "Location", "https://login.example.no"), step: "proxy", problem: "302 Found: it wants to show a page", remedies: []string{"Log in to the network"}},
		"a login page in place of the metadata": {plant: answering(metadataPath, status(http.StatusOK, loginPage, "Content-Type", "text/html")), step: "metadata", problem: "a web page (200 OK)", remedies: []string{"A proxy or a network with a login page", "browser", "The issuer may be wrong"}},
		"a redirect in place of the metadata":   {plant: answering(metadataPath, status(http.StatusFound, "", "Location", "https://login.example.no/?secret")), step: "metadata", problem: "a redirect (302 Found)", remedies: []string{"A proxy or a network with a login page"}},
		"a proxy that inspects TLS": {plant: func(w *doctorWorld) {
			w.certificate = newAuthority(w.t, "Inspector Of The Hospital").issue(time.Now().Add(time.Hour), "helseid.test")
		}, step: "tls", problem: `signed by "Inspector Of The Hospital, Example"`, remedies: []string{"inspects TLS", "without inspection", "SSL_CERT_FILE"}},
		"a proxy that inspects TLS, trusted by the machine": {plant: func(w *doctorWorld) {
			w.file["authority"] = "https://helseid-sts.test.nhn.no"
			w.answer["helseid-sts.test.nhn.no/.well-known/openid-configuration"] = status(http.StatusServiceUnavailable, "")
		}, step: "tls", problem: `signed by "Test Root, Example", and is in no public log`, remedies: []string{"without inspection"}, also: []string{"metadata"}},
		"a certificate of another name":  {plant: func(w *doctorWorld) { w.certificate = w.authority.issue(time.Now().Add(time.Hour), "www.example.no") }, step: "tls", problem: "of another name", remedies: []string{"host in the address"}},
		"a certificate that has expired": {plant: func(w *doctorWorld) { w.certificate = w.authority.issue(time.Now().Add(-time.Hour), "helseid.test") }, step: "tls", problem: clockReading, remedies: []string{"If the clock is wrong", "renew"}},

		// HelseID.
		"HelseID in trouble": {plant: answering(metadataPath, status(http.StatusServiceUnavailable, "")), step: "metadata", problem: "503 Service Unavailable", remedies: []string{"Try again"}},
		"a foreign token endpoint": {plant: func(w *doctorWorld) {
			w.rewrite(metadataPath, func(document map[string]any) { document["token_endpoint"] = "https://attacker.example/token" })
		}, step: "metadata", problem: "token_endpoint is at https://attacker.example:443", remedies: []string{"somebody has changed the metadata", "EndpointOrigins"}},
		"a foreign endpoint for keys": {plant: func(w *doctorWorld) {
			w.rewrite(metadataPath, func(document map[string]any) { document["jwks_uri"] = "https://attacker.example/keys" })
		}, step: "metadata", problem: "jwks_uri is at https://attacker.example:443", remedies: []string{"somebody has changed the metadata"}},
		"an endpoint for keys that answers nothing": {plant: answering("helseid.test/.well-known/openid-configuration/jwks", status(http.StatusNotFound, "")), step: "metadata", problem: "keys cannot be had from https://helseid.test/.well-known/openid-configuration/jwks: it answers 404 Not Found", remedies: []string{"logins", "every API"}},
		"keys of a kind that nobody uses":           {plant: answering("helseid.test/.well-known/openid-configuration/jwks", status(http.StatusOK, `{"keys":[{"kty":"oct"}]}`, "Content-Type", "application/json")), step: "metadata", problem: "no key that can be used", remedies: []string{"logins"}},
		"no endpoint for tokens": {plant: func(w *doctorWorld) {
			w.rewrite(metadataPath, func(document map[string]any) { delete(document, "token_endpoint") })
		}, step: "metadata", problem: "the metadata has no token_endpoint", remedies: []string{"add it there"}},
		"a token endpoint that asks for a pause": {plant: answering("helseid.test/connect/token", status(http.StatusTooManyRequests, "", "Retry-After", "90")), step: "token", problem: "asks for a pause: 429 Too Many Requests", remedies: []string{"in 1m30s"}},
		"a token endpoint that hangs up":         {plant: answering("helseid.test/connect/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), step: "token", problem: "helseid.test ends the connection without an answer: EOF", remedies: []string{"Try again"}},
		"a token endpoint that sees another URL": {plant: answering("helseid.test/connect/token", status(http.StatusBadRequest, `{"error":"invalid_dpop_proof"}`, "Content-Type", "application/json")), step: "token", problem: "HelseID refuses the DPoP proof: invalid_dpop_proof", remedies: []string{"gateway", "another URL"}},
		"an error of the token endpoint's own":   {plant: answering("helseid.test/connect/token", status(http.StatusBadRequest, `{"error":"server_error"}`, "Content-Type", "application/json")), step: "token", problem: "server_error", remedies: []string{"Try again"}},
		"a client id that is not known":          {plant: member("clientId", "7b0ec8a4-8ee6-4fd0-8a3b-b4e5a4b6c0c1"), step: "token", problem: "does not know the client or its key: invalid_client", remedies: clientRemedies},
		"the client of another environment":      {plant: func(w *doctorWorld) { w.server.RemoveClient(w.clientID) }, step: "token", problem: "does not know the client or its key: invalid_client", remedies: append([]string{"of another client or environment: the issuer here is https://helseid.test"}, clientRemedies[2:]...)},
		"a key that is not registered":           {plant: secretMember("privateJwk", newJWK), step: "token", problem: "does not know the client or its key: invalid_client", remedies: clientRemedies},
		"a key that has expired":                 {options: []helseidtest.Option{helseidtest.Selvbetjening{KeyLifetime: time.Hour}}, before: skewed(-2 * time.Hour), plant: skewed(0), step: "token", problem: "does not know the client or its key: invalid_client", remedies: clientRemedies},
		"a client for logins only":               {client: helseidtest.Client{Scopes: []string{demoScope}, GrantTypes: []string{"authorization_code"}}, step: "token", problem: "unauthorized_client", remedies: []string{"client_credentials"}},
		"a nonce that HelseID never accepts": {plant: func(w *doctorWorld) {
			next := 0
			w.answer["helseid.test/connect/token"] = func(out http.ResponseWriter, r *http.Request) {
				next++
				status(http.StatusBadRequest, `{"error":"use_dpop_nonce"}`, "Content-Type", "application/json", "DPoP-Nonce", fmt.Sprint("nonce-", next))(out, r)
			}
		}, step: "token", problem: "use_dpop_nonce", remedies: []string{"another nonce right after giving one"}},
		"a token endpoint that is silent":             {arguments: []string{"-timeout", "1s"}, plant: answering("helseid.test/connect/token", silence), step: "token", problem: "does not answer in time", remedies: []string{"Try again"}},
		"a token endpoint in trouble":                 {plant: answering("helseid.test/connect/token", status(http.StatusInternalServerError, "<html>")), step: "token", problem: "is in trouble", remedies: []string{"Try again"}},
		"a login page in place of the token endpoint": {plant: answering("helseid.test/connect/token", status(http.StatusOK, loginPage, "Content-Type", "text/html")), step: "token", problem: "what answers is not HelseID's token endpoint", remedies: []string{"login page"}},

		// Selvbetjening.
		"a key that expires soon":                        {options: []helseidtest.Option{helseidtest.Selvbetjening{KeyLifetime: 49 * time.Hour}}, client: selfService, arguments: selfFlag, step: "registration", problem: "expires in 2 days", remedies: []string{"helseid key rotate"}},
		"a key that has expired, as Selvbetjening tells": {options: withSelf, client: selfService, arguments: selfFlag, plant: selvbetjeningSays("expiration", "2020-01-01T00:00:00Z"), step: "registration", problem: "has expired, at 2020-01-01T00:00:00Z", remedies: []string{"helseid key rotate"}},
		"a key that Selvbetjening does not list":         {options: withSelf, client: selfService, arguments: selfFlag, plant: answering("helseid.test/selvbetjening/v1/client-secret", status(http.StatusOK, "[]", "Content-Type", "application/json")), step: "registration", problem: "does not list the key", remedies: []string{"helseid key rotate"}},

		// Scopes.
		"a scope that is misspelt":    {arguments: []string{"-scope", "nhn:demo-api/raed"}, step: "scope", problem: "nhn:demo-api/raed: invalid_scope", remedies: []string{"1. Compare the spelling of nhn:demo-api/raed with " + demoScope, "2. If the name is right", "grant it", "Granted are: " + demoScope}},
		"a scope that is not granted": {arguments: []string{"-scope", demoScope + " nhn:kjernejournal/api"}, step: "scope", problem: "has not been granted nhn:kjernejournal/api: invalid_scope", remedies: []string{"1. Compare the spelling with the API's documentation", "2. If the name is right", "grant it", "Granted are: " + demoScope}},
		"scopes with a comma":         {arguments: []string{"-scope", demoScope + ",nhn:kjernejournal/api"}, step: "scope", problem: "has not been granted " + demoScope + ",nhn:kjernejournal/api", remedies: []string{"1. Write spaces between the names"}},
		"a scope that waits for its approval": {options: withSelf, client: selfService, arguments: append([]string{"-scope", "nhn:kjernejournal/api"}, selfFlag...), plant: func(w *doctorWorld) {
			w.answer["helseid.test/selvbetjening/v1/client"] = status(http.StatusOK, `{"apiScopes":[{"scope":"nhn:kjernejournal/api","status":"pending"}]}`, "Content-Type", "application/json")
		}, step: "scope", problem: "nhn:kjernejournal/api: invalid_scope", remedies: []string{"is pending", "approve"}},
		"an identity scope for a system":          {arguments: []string{"-scope", demoScope + " helseid://scopes/identity/pid"}, step: "scope", problem: "helseid://scopes/identity/pid is an identity scope", remedies: []string{"Leave it out of -scope"}},
		"openid for a system":                     {arguments: []string{"-scope", "openid"}, step: "scope", problem: "openid is an identity scope", remedies: []string{"Leave it out of -scope"}},
		"a resource that is no API of the client": {arguments: []string{"-resource", "nhn:other-api"}, step: "scope", problem: "nhn:other-api: invalid_target", remedies: []string{"short name of an API", "nhn:demo-api"}},
		"terms that are not accepted": {client: helseidtest.Client{Scopes: []string{demoScope, "nhn:other-api/read"}, MultiTenant: true, Delegations: []string{delegating}, UnsignedTerms: map[string][]string{delegating: {demoScope}}},
			arguments: []string{"-parent", delegating, "-scope", demoScope}, url: true, step: "scope", problem: "leaves out " + demoScope + " (rejected_scope)", remedies: []string{delegating, "accept the terms"}},

		// Organisations.
		"a supplier's client without an organisation":      {client: multiTenant, step: "organization", problem: "none is named", remedies: []string{"-parent", "multi-tenant"}},
		"a supplier's client with a sub-unit only":         {client: multiTenant, arguments: []string{"-child", subUnit}, step: "organization", problem: "HID-1006", remedies: []string{"names -parent too"}},
		"a parent for a client of one organisation":        {arguments: []string{"-parent", delegating}, step: "organization", problem: "HID-1005", remedies: []string{"Leave -parent out", "multi-tenant"}},
		"an organisation that has not delegated":           {client: multiTenant, arguments: []string{"-parent", notDelegating, "-scope", demoScope}, url: true, step: "organization", problem: "-parent " + notDelegating + "): invalid_request (HID-1001)", remedies: []string{"delegated", "main unit", "Altinn"}},
		"an organisation that is refused without a number": {arguments: []string{"-parent", delegating}, plant: wordless, step: "organization", problem: "(-parent 994598759): invalid_request", remedies: []string{"organisation numbers"}},
		"no organisation, refused without a number":        {client: multiTenant, plant: wordless, step: "token", problem: "invalid_request", remedies: []string{"organisation numbers"}},
		"a sub-unit that is not on the whitelist":          {client: helseidtest.Client{Scopes: []string{demoScope}, ChildOrganizations: []string{"999977776"}}, arguments: []string{"-child", subUnit}, url: true, step: "organization", problem: "HID-1002", remedies: []string{"whitelist", "Selvbetjening"}},
		"a wrong digit":   {client: multiTenant, arguments: []string{"-parent", "994598758"}, step: "organization", problem: "HID-1001", remedies: []string{"1. Look for a wrong digit in -parent", "2. ", "delegated"}},
		"a digit too few": {client: multiTenant, arguments: []string{"-parent", "99459875"}, step: "organization", problem: "-parent is no organisation number", remedies: []string{"nine digits"}},

		// The API.
		"a nonce that the API never accepts": {url: true, plant: func(w *doctorWorld) {
			next := 0
			w.api = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				next++
				status(http.StatusUnauthorized, "", "WWW-Authenticate", `DPoP error="use_dpop_nonce"`, "DPoP-Nonce", fmt.Sprint("nonce-", next))(out, r)
			})
		}, step: "api", problem: "refuses the one that it has just given", remedies: []string{"all processes of the API"}},
		"a nonce that a gateway removes":             {url: true, plant: challenge(401, `DPoP error="use_dpop_nonce"`), step: "api", problem: "demands a DPoP nonce and gives none", remedies: []string{"gateway"}},
		"an API for bearer tokens":                   {url: true, plant: guard(middleware.Config{Audience: "nhn:demo-api", BearerOnly: true}), step: "api", problem: "for Bearer alone", remedies: []string{"1. If the API takes bearer tokens only", "UnboundBearerToken", "audience"}},
		"an API for bearer tokens that says no more": {url: true, plant: challenge(401, `Bearer`), step: "api", problem: "for Bearer alone", remedies: []string{"1. If the API takes bearer tokens only"}},
		"an API at another public URL":               {url: true, plant: guard(middleware.Config{Audience: "nhn:demo-api", PublicURL: "https://internal.example.no"}), step: "api", problem: "refuses the DPoP proof: 401 Unauthorized, invalid_dpop_proof, proof_htu", remedies: []string{demoAPI, "public address", "PublicURL"}},
		"a proof that is refused without a reason":   {url: true, plant: challenge(401, `DPoP error="invalid_dpop_proof"`), step: "api", problem: "refuses the DPoP proof", remedies: []string{"1. The proof is for " + demoAPI, "2. Clocks are not to blame", "3. A gateway that sends a request twice"}},
		"an API whose clock is off": {url: true, plant: func(w *doctorWorld) {
			w.api = statusHandler(401, "", "WWW-Authenticate", `DPoP error="invalid_dpop_proof"`, "Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
		}, step: "api", problem: "refuses the DPoP proof", remedies: []string{"1. This machine's clock is as HelseID's, and 1m", "the API's clock", "2. The proof is for"}},
		"an API with another audience":             {url: true, plant: guard(middleware.Config{Audience: "nhn:other-api"}), step: "api", problem: "is not the one that the token is for: 401 Unauthorized, invalid_token, token_audience", remedies: []string{"1. The token is for nhn:demo-api", "2. ", "-resource", "3. ", "its audience"}},
		"a token that is refused without a reason": {url: true, plant: challenge(401, `DPoP error="invalid_token"`), step: "api", problem: "refuses the token", remedies: []string{"The token is for nhn:demo-api", "issuer https://helseid.test", "Clocks are not to blame"}},
		"an API that wants a password":             {url: true, plant: challenge(401, `Basic realm="a"`), step: "api", problem: "other credentials: 401 Unauthorized, its challenge is for basic", remedies: []string{"owner"}},
		"a token for several APIs":                 {url: true, client: helseidtest.Client{Scopes: []string{demoScope, "nhn:other-api/read"}}, step: "api", problem: "token_audience", remedies: []string{"1. The token is for several APIs, nhn:demo-api nhn:other-api", "-resource", "-scope"}},
		"an API that redirects for ever":           {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(302, "", "Location", "/things") }, step: "api", problem: "redirects again and again", remedies: []string{"-url"}},
		"an API that knows no such method":         {url: true, arguments: []string{"-method", "get"}, plant: func(w *doctorWorld) { w.api = statusHandler(501, "") }, step: "api", problem: "does not take get", remedies: []string{"GET, not get"}},
		"an identity number in the path":           {arguments: []string{"-url", "https://api.example.no/" + mint.DefaultPersonalIdentityNumber}, plant: func(w *doctorWorld) { w.api = statusHandler(404, "") }, step: "api", problem: "does not know https://api.example.no/***********: 404", remedies: []string{"path in -url"}},
		"an API without a challenge":               {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(401, "") }, step: "api", problem: "other credentials: 401 Unauthorized", remedies: []string{"API key"}},
		"a level that is too low":                  {url: true, plant: challenge(401, `DPoP error="insufficient_user_authentication", acr_values="Level4", max_age="600"`), step: "api", problem: "logged in more strongly, or later", remedies: []string{"user's session", "acr_values Level4, max_age 600"}},
		"an API that wants a user":                 {url: true, plant: guard(middleware.Config{Audience: "nhn:demo-api"}, middleware.SecurityLevel(4)), step: "api", problem: "403 Forbidden", remedies: []string{"a logged-in user"}},
		"an API that wants another scope":          {url: true, plant: guard(middleware.Config{Audience: "nhn:demo-api"}, middleware.Scope("nhn:demo-api/write")), step: "api", problem: "it wants the scope nhn:demo-api/write", remedies: []string{`-scope "nhn:demo-api/write"`}},
		"an API that wants an organisation": {url: true, client: helseidtest.Client{Scopes: []string{demoScope}}, plant: func(w *doctorWorld) {
			w.api = statusHandler(403, `{"reason":"parent_organization","error":"insufficient_scope"}`, "Content-Type", "application/problem+json", "WWW-Authenticate", `DPoP error="insufficient_scope"`)
		}, step: "api", problem: "parent_organization", remedies: []string{"-parent"}},
		"an API that is silent":                {url: true, arguments: []string{"-timeout", "1s"}, plant: func(w *doctorWorld) { w.api = http.HandlerFunc(silence) }, step: "api", problem: "does not answer in time", remedies: []string{"Try again"}},
		"an API that is not there":             {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(404, "") }, step: "api", problem: "does not know " + demoAPI, remedies: []string{"path in -url"}},
		"an API that does not take the method": {url: true, arguments: []string{"-method", "PUT"}, plant: func(w *doctorWorld) { w.api = statusHandler(405, "", "Allow", "GET, POST") }, step: "api", problem: "does not take PUT", remedies: []string{"-method (it takes GET, POST)"}},
		"an API in trouble":                    {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(500, "") }, step: "api", problem: "500 Internal Server Error", remedies: []string{"Try again", "owner"}},
		"an API behind a login page":           {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(200, loginPage, "Content-Type", "text/html") }, step: "api", problem: "a web page that has a form", remedies: []string{"browser"}},
		"an API that redirects elsewhere":      {url: true, plant: func(w *doctorWorld) { w.api = statusHandler(302, "", "Location", "https://other.example.no/") }, step: "api", problem: "redirects to another origin", remedies: []string{"-url"}},
		"an API over plain http":               {arguments: []string{"-url", "http://api.example.no/things"}, step: "api", problem: "plain http", remedies: []string{"https"}},
		"an API with a name that is not found": {bare: true, arguments: []string{"-url", "https://" + strings.Repeat("b", 64) + ".example.no"}, plant: atLoopback, step: "api", problem: "is not reached: the name", remedies: []string{"spelling"}},
	}
}

// selvbetjeningSays changes a member of each key that Selvbetjening lists.
func selvbetjeningSays(name string, value any) func(*doctorWorld) {
	return func(w *doctorWorld) {
		w.answer["helseid.test/selvbetjening/v1/client-secret"] = func(out http.ResponseWriter, r *http.Request) {
			response := testkit.Must(w.ask(r, nil))
			var keys []map[string]any
			if err := json.Unmarshal(response.body, &keys); err != nil {
				panic(err)
			}
			for _, key := range keys {
				key[name] = value
			}
			response.body = testkit.Must(json.Marshal(keys))
			write(out, response)
		}
	}
}

// atLoopback makes the client one of a server on this machine.
func atLoopback(w *doctorWorld) {
	server := helseidtest.NewServer(w.t)
	server.AlterTokenResponse(func(response map[string]any) { w.keep(response["access_token"].(string)) })
	require.NoError(w.t, json.Unmarshal(server.ConfigFile(single), &w.file))
	w.keepKey(w.file["privateJwk"].(string))
}

func closedPort(t *testing.T) string {
	listener := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	return listener.Addr().String()
}

// silentPort takes connections and says nothing.
func silentPort(t *testing.T) string {
	listener := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// Each mistake is found by the step that it belongs to, and by no other. The remedy names
// what mends it. Nothing that is printed is secret.
func TestDoctorFindsMistakes(t *testing.T) {
	t.Parallel()
	for name, planted := range mistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDoctorWorld(t, planted.options...)
			if planted.before != nil {
				planted.before(w)
			}
			if planted.client.Scopes == nil {
				planted.client = single
			}
			w.register(planted.client)
			data := testkit.Must(json.Marshal(w.file))
			if planted.raw == nil && planted.plant != nil {
				planted.plant(w)
				data = testkit.Must(json.Marshal(w.file))
			}
			if planted.raw != nil {
				data = planted.raw(data)
				w.keepKey(string(data))
			}
			if planted.mode == 0 {
				planted.mode = 0o600
			}
			if !strings.HasSuffix(w.path, ".missing") {
				w.write(data, planted.mode)
			}
			arguments := append([]string{"-config", w.path}, planted.arguments...)
			if planted.url {
				arguments = append(arguments, "-url", demoAPI+"?patient=secret-of-the-query")
			}
			w.keep("secret-of-the-query")
			environment := w.proxied()
			if planted.bare {
				environment = w.environment
			}
			steps, words, exit := w.examine(environment, arguments...)
			require.Equal(t, 1, exit)
			judgeSteps(t, planted, steps, words)
		})
	}
}

// clockReading comes before the time, at the end of a problem.
const clockReading = "this machine's clock says "

func judgeSteps(t *testing.T, planted mistake, steps []doctorStep, words string) {
	t.Helper()
	problems := 0
	for i, step := range steps {
		if i == len(steps)-1 {
			require.Equal(t, "summary", step.Event)
			require.False(t, *step.OK)
			require.Equal(t, problems, step.Problems)
			continue
		}
		require.Equal(t, "step", step.Event)
		if step.OK == nil {
			require.Contains(t, step.Skipped, "not tried, because ", step.Step)
			continue
		}
		if *step.OK {
			require.NotEmpty(t, step.Note, step.Step)
			continue
		}
		problems++
		require.NotEmpty(t, step.Remedy, step.Step)
		problem, _, _ := strings.Cut(step.Problem, clockReading) // the two runs read the clock at different times
		require.Contains(t, words, problem)
		if slices.Contains(planted.also, step.Step) {
			continue
		}
		require.Equal(t, planted.step, step.Step, step.Problem)
		require.Contains(t, step.Problem, planted.problem)
		rest := step.Remedy
		for _, part := range planted.remedies {
			_, after, found := strings.Cut(rest, part)
			require.True(t, found, "%q is not in the remedy, or not in this order: %s", part, step.Remedy)
			rest = after
		}
	}
	require.Equal(t, 1+len(planted.also), problems)
}

// On a healthy set-up there is nothing to find, and each step says what it has seen.
func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	nonces := testkit.Must(dpop.NewNonceIssuer(dpop.NonceIssuerConfig{}))
	for name, healthy := range map[string]struct {
		mistake
		notes map[string]string
	}{
		"one organisation": {mistake{url: true, arguments: []string{"-scope", demoScope}}, map[string]string{
			"file": "for its owner only", "key": "EC key on P-256, ES256", "environment": "https://helseid.test", "proxy": "from HTTPS_PROXY", "tls": `signed by "Test Root`,
			"clock": "as HelseID's", "token": "DPoP token for nhn:demo-api", "scope": demoScope, "organization": "parent", "api": "200 OK",
		}},
		"all scopes": {mistake{url: true}, map[string]string{"scope": "all that the client has"}},
		"an API that demands nonces": {mistake{url: true, plant: guard(middleware.Config{Audience: "nhn:demo-api", Proof: dpop.VerifierConfig{Nonces: nonces}})},
			map[string]string{"api": "with a nonce that it has demanded"}},
		"a supplier": {mistake{url: true, client: multiTenant, arguments: []string{"-parent", delegating, "-child", subUnit, "-scope", demoScope}},
			map[string]string{"organization": "parent " + delegating + ", child " + subUnit + ", supplier"}},
		"Selvbetjening":        {mistake{options: withSelf, client: selfService, arguments: selfFlag}, map[string]string{"registration": "registered, until"}},
		"an RSA key as PEM":    {mistake{before: func(w *doctorWorld) { w.key = testkit.RSA() }, plant: secretMember("privateJwk", func() string { return pemOf(testkit.RSA()) })}, map[string]string{"key": "RSA key of 2048 bits, PS256"}},
		"plain http, loopback": {mistake{bare: true, plant: atLoopback}, map[string]string{"environment": "plain http", "tls": "none: plain http", "proxy": "none for this machine"}},
		"a sub-unit":           {mistake{client: helseidtest.Client{Scopes: []string{demoScope}, ChildOrganizations: []string{subUnit}}, arguments: []string{"-child", subUnit}}, map[string]string{"organization": "child " + subUnit}},
		"a server without logins": {mistake{plant: func(w *doctorWorld) {
			w.rewrite(metadataPath, func(document map[string]any) {
				for _, name := range []string{"authorization_endpoint", "pushed_authorization_request_endpoint", "userinfo_endpoint", "revocation_endpoint", "end_session_endpoint"} {
					delete(document, name)
				}
			})
		}}, map[string]string{"metadata": "with its endpoints there"}},
		"new nonces each time":        {mistake{plant: func(w *doctorWorld) { w.server.DemandNewNonceEachTime(true) }}, nil},
		"another environment's texts": {mistake{options: []helseidtest.Option{helseidtest.TestEnvironmentMetadata(), helseidtest.Path("/session")}, plant: nil}, map[string]string{"environment": "https://helseid.test/session"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDoctorWorld(t, healthy.options...)
			if healthy.before != nil {
				healthy.before(w)
			}
			if healthy.client.Scopes == nil {
				healthy.client = single
			}
			w.register(healthy.client)
			if healthy.plant != nil {
				healthy.plant(w)
			}
			w.write(testkit.Must(json.Marshal(w.file)), 0o600)
			arguments := append([]string{"-config", w.path}, healthy.arguments...)
			if healthy.url {
				arguments = append(arguments, "-url", demoAPI)
			}
			environment := w.proxied()
			if healthy.bare {
				environment = nil
			}
			steps, words, exit := w.examine(environment, arguments...)
			seen := map[string]string{}
			for _, step := range steps {
				require.Empty(t, step.Problem, step.Step)
				seen[step.Step] = step.Note
			}
			require.Equal(t, 0, exit)
			require.Contains(t, words, "nothing is wrong")
			require.True(t, *steps[len(steps)-1].OK)
			for step, note := range healthy.notes {
				require.Contains(t, seen[step], note)
			}
		})
	}
}

// A failed step stops those that need it, and no others.
func TestDoctorGoesOn(t *testing.T) {
	t.Parallel()
	w := newDoctorWorld(t)
	w.register(multiTenant)
	w.file["privateJwk"] = "none"
	w.write(testkit.Must(json.Marshal(w.file)), 0o644)
	w.server.SetClockSkew(-70 * time.Second)
	steps, words, exit := w.examine(w.proxied(), "-config", w.path, "-parent", "12345", "-url", demoAPI)
	require.Equal(t, 1, exit)
	var failed, skipped []string
	for _, step := range steps[:len(steps)-1] {
		switch {
		case step.OK == nil:
			skipped = append(skipped, step.Step)
		case !*step.OK:
			failed = append(failed, step.Step)
		}
	}
	require.Equal(t, []string{"file", "key", "clock", "organization"}, failed)
	require.Equal(t, []string{"token", "registration", "scope", "api"}, skipped)
	require.Contains(t, words, "4 problems")
}

func TestDoctorReadsStandardInput(t *testing.T) {
	t.Parallel()
	w := newDoctorWorld(t)
	w.register(single)
	got := run(t, w.proxied(), testkit.Must(json.Marshal(w.file)), "doctor", "-config", "-", "-url", demoAPI)
	require.Equal(t, 0, got.exit, got.stdout)
	require.Contains(t, got.stdout, "read from standard input")
}
