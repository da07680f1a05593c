package probe

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
)

var endpointQuestions = []question{
	{
		"par_proof", "Does the PAR endpoint take, or demand, a DPoP proof?", "two pushed authorization requests that nobody goes on with, with a proof and without",
		func(ctx context.Context, l *lab) (found answer, err error) {
			pushed, err := l.pushForm("openid")
			if err != nil {
				return found, err
			}
			without, err := l.try(ctx, attempt{endpoint: parEndpoint, form: pushed.form, noProof: true})
			if err != nil {
				return found, err
			}
			none := ""
			unanswered, err := l.try(ctx, attempt{endpoint: parEndpoint, form: pushed.form, nonce: &none})
			if err != nil {
				return found, err
			}
			with, err := l.try(ctx, attempt{endpoint: parEndpoint, form: pushed.form})
			found.see("without a proof", without)
			found.see("with a proof that has no nonce", unanswered)
			found.see("with a proof", with)
			switch {
			case without.ok() && with.ok():
				found.text = "taken, not demanded"
			case with.ok():
				found.text = "demanded"
			case without.ok():
				found.text = "not taken"
			default:
				found.text = "neither is accepted"
			}
			return found, err
		},
	},
	{
		"par_lifetime", "How long is a request_uri valid?", "a pushed authorization request that nobody goes on with",
		func(ctx context.Context, l *lab) (found answer, err error) {
			pushed, err := l.pushForm("openid")
			if err != nil {
				return found, err
			}
			got, err := l.push(ctx, pushed)
			if err != nil {
				return found, err
			}
			found.see("PAR", got)
			lifetime, ok := got.body.Get("expires_in").Seconds()
			found.text = "not told"
			if ok {
				found.text = fmt.Sprintf("expires_in is %d s", lifetime)
			}
			return found, nil
		},
	},
	{
		"par_required", "Is an authorization request accepted that was not pushed?", "a request to the authorization endpoint, as a browser that nobody goes on with",
		func(ctx context.Context, l *lab) (found answer, err error) {
			p, err := l.pushForm("openid")
			if err != nil {
				return found, err
			}
			endpoint, err := l.document.Endpoint("authorization_endpoint")
			if err != nil {
				return found, err
			}
			p.form.Set("client_id", l.config.ClientID)
			endpoint.RawQuery = p.form.Encode()
			status, next, err := l.open(ctx, endpoint)
			found.seen = append(found.seen, strings.TrimSpace(fmt.Sprintf("not pushed: %d %s", status, next)))
			found.text = yesNo(status < 400 && !strings.Contains(strings.ToLower(next), "error"))
			return found, err
		},
	},
	{
		"end_session_post", "Does the end-session endpoint take POST, as OpenID Connect demands?", "a GET and a POST without a session, which end nothing",
		func(ctx context.Context, l *lab) (found answer, err error) {
			endpoint, err := l.document.Endpoint("end_session_endpoint")
			if err != nil {
				return found, err
			}
			var replies []reply
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got, err := l.call(ctx, method, endpoint.String(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "")
				if err != nil {
					return found, err
				}
				found.see(method, got)
				replies = append(replies, got)
			}
			found.text = yesNo(replies[1].status/100 == replies[0].status/100 && replies[1].status < 400)
			return found, nil
		},
	},
}

const parEndpoint = "pushed_authorization_request_endpoint"

// pushed is a pushed authorization request.
type pushed struct {
	form     url.Values
	redirect *url.URL
	state    string
	verifier string
}

func (l *lab) pushForm(scopes ...string) (*pushed, error) {
	redirect := l.redirectURI()
	if redirect == nil {
		return nil, needsRedirectURI
	}
	p := &pushed{redirect: redirect, state: jose.NewID(), verifier: jose.NewID() + jose.NewID()}
	challenge := sha256.Sum256([]byte(p.verifier))
	p.form = url.Values{
		"response_type": {"code"}, "scope": {strings.Join(scopes, " ")}, "redirect_uri": {redirect.String()}, "state": {p.state}, "nonce": {jose.NewID()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	return p, nil
}

// push sends a pushed authorization request, with a proof if one is demanded.
func (l *lab) push(ctx context.Context, p *pushed) (reply, error) {
	got, err := l.try(ctx, attempt{endpoint: parEndpoint, form: p.form, noProof: true})
	if err == nil && !got.ok() {
		got, err = l.try(ctx, attempt{endpoint: parEndpoint, form: p.form})
	}
	return got, err
}

// open gets a page as a browser does, without credentials, and says where it leads to: the
// path of a redirect.
func (l *lab) open(ctx context.Context, page *url.URL) (status int, next string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return 0, "", err
	}
	httpx.SetUserAgent(request.Header)
	l.requests++
	response, err := l.transport.RoundTrip(request) //nolint:bodyclose // Discard does
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", helseid.ErrUnavailable, err)
	}
	httpx.Discard(response.Body)
	if target, err := response.Location(); err == nil {
		next = "to " + shown(target.Path)
		if target.Query().Has("error") {
			next += " with an error"
		}
	}
	return response.StatusCode, next, nil
}

// redirectURI is the first that this machine can listen at.
func (l *lab) redirectURI() *url.URL {
	for _, text := range l.config.Registered.RedirectURIs {
		if u, err := url.Parse(text); err == nil && httpx.IsPlainLoopback(u) {
			return u
		}
	}
	return nil
}
