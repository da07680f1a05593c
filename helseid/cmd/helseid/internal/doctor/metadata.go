package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/metadata"
)

// endpoints are the members of the metadata that a client may use.
var endpoints = []string{
	"token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint", "authorization_endpoint",
	"userinfo_endpoint", "revocation_endpoint", "end_session_endpoint",
}

// checkMetadata reads HelseID's metadata as a client does.
func checkMetadata(ctx context.Context, s *state) result {
	return s.stageResult(ctx, "metadata", s.readMetadata)
}

func (s *state) readMetadata(c *contact) result {
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
	found := good("of %s, with its endpoints there", issuer)
	for _, name := range endpoints {
		if _, err := document.Endpoint(name); err != nil {
			if name == endpoints[0] {
				s.metadata = false
			}
			found.add(err.Error(), "HelseID's endpoints are at its issuer. If "+issuer+" is not your own server, somebody has changed the metadata on its way: "+
				"send no credentials, and ask the network's owner. If it is, correct "+name+" there, or name the origin in Config.EndpointOrigins of the program.")
		}
	}
	return found
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
