package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
)

// endpoints are the members of the metadata that a client may use. The first two are
// needed without logins, too.
var endpoints = []string{
	"token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint", "authorization_endpoint",
	"userinfo_endpoint", "revocation_endpoint", "end_session_endpoint",
}

// checkMetadata reads HelseID's metadata as a client does.
func checkMetadata(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "metadata", func(c *contact) result { return s.readMetadata(ctx, c) })
}

func (s *state) readMetadata(ctx context.Context, c *contact) result {
	issuer := s.issuerText()
	if found, ok := s.unusualAnswer(c); ok {
		return found
	}
	document, err := metadata.Parse(c.body, issuer)
	switch {
	case errors.Is(err, metadata.ErrIssuerMismatch):
		return bad(err.Error(), "If this is the server that is meant, write the issuer that its metadata names, letter by letter, as authority in "+s.file()+" (or give it with -issuer).",
			"Otherwise another server answers at this address: "+choices()+".")
	case err != nil:
		return bad("what "+address(c.target)+" answers is no metadata: "+err.Error(),
			"Look at that address in a browser on this machine. If it is not a JSON document, the issuer is wrong, or something in between answers in its place.")
	}
	s.metadata = true
	object, _ := jose.ParseObject(c.body) // metadata.Parse has read it
	found := good("of %s, with its endpoints there", issuer)
	for _, name := range endpoints {
		if _, err := document.Endpoint(name); err != nil {
			if name == endpoints[0] {
				s.metadata = false
			}
			if object.Get(name).Absent() {
				if isNeeded(name) {
					found.add(err.Error(), "HelseID's metadata has it. If "+issuer+" is your own server, add it there. Otherwise another server answers, or something in between has changed the metadata: ask the network's owner.")
				}
				continue
			}
			found.add(err.Error(), "HelseID's endpoints are at its issuer. If "+issuer+" is not your own server, somebody has changed the metadata on its way: "+
				"send no credentials, and ask the network's owner. If it is, correct "+name+" there, or name the origin in Config.EndpointOrigins of the program.")
		}
	}
	if keys, err := document.Endpoint("jwks_uri"); err == nil {
		if wrong := s.wrongKeys(ctx, keys); wrong != "" {
			found.add("HelseID's keys cannot be had from "+address(keys)+": "+wrong,
				"This client gets tokens without them, and its logins and every API that trusts the issuer need them. Try again in some minutes. If it stays so, something in between refuses that address: ask the network's owner; and if "+issuer+" is your own server, correct it there.")
		}
	}
	return found
}

// isNeeded reports that neither a system nor an API can do without an endpoint.
func isNeeded(endpoint string) bool { return slices.Contains(endpoints[:2], endpoint) }

// wrongKeys says what is wrong with HelseID's key set, or "".
func (s *state) wrongKeys(ctx context.Context, address *url.URL) string {
	c := s.network.get(ctx, address)
	if failed := c.failure(); failed != nil {
		return failed.problem
	}
	if c.status != http.StatusOK {
		return "it answers " + statusText(c.status)
	}
	keys, err := jose.ParseKeySet(c.body)
	if err != nil {
		return "the answer is no key set"
	}
	usable := func(key jose.Object) bool {
		_, err := jose.ParsePublicJWK(key, "")
		return err == nil
	}
	if !slices.ContainsFunc(keys, usable) {
		return "the key set has no key that can be used"
	}
	return ""
}

// unusualAnswer explains an answer that is none of HelseID's metadata.
func (s *state) unusualAnswer(c *contact) (result, bool) {
	page := "A proxy or a network with a login page may be in the way: look at " + address(c.target) + " in a browser on this machine, log in if it asks for that, " +
		"or have " + c.target.Hostname() + " let pass without a login."
	wrong := "The issuer may be wrong: " + choices() + "."
	switch {
	case c.status >= 300 && c.status < 400:
		return bad(fmt.Sprintf("%s answers with a redirect (%s), and HelseID's metadata never does", c.target.Host, statusText(c.status)), page, wrong), true
	case c.status == http.StatusTooManyRequests:
		return bad("HelseID asks for a pause ("+statusText(c.status)+")", "Try again in some minutes. A client keeps its metadata for a day: make one client and keep it."), true
	case c.status >= http.StatusInternalServerError:
		return bad("HelseID is in trouble, or a proxy before it: "+c.target.Host+" answers "+statusText(c.status), "Try again in some minutes, and look at Norsk helsenett's operating messages."), true
	case httpx.MediaType(c.header) == "text/html":
		return bad(fmt.Sprintf("%s answers with a web page (%s), and not with HelseID's metadata", c.target.Host, statusText(c.status)), page, wrong), true
	case c.status != http.StatusOK:
		return bad(fmt.Sprintf("there is no HelseID at %s: it answers %s", s.issuerText(), statusText(c.status)),
			"Look at the member authority in "+s.file()+" (or -issuer), its path as well. It is "+helseid.Test.Issuer()+" or "+helseid.Production.Issuer()+"."), true
	}
	return result{}, false
}
