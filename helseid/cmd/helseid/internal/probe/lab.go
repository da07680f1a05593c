package probe

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/internal/clock"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/redact"
)

// lab sends requests that no client would. Its fields are of one client.
type lab struct {
	options
	config     helseid.Config
	configFile string
	request    helseid.TokenRequest
	detail     string // of the organisation, as JSON, or ""
	key        *jose.Key
	proofKey   *jose.Key
	http       *http.Client
	transport  http.RoundTripper // of http
	note       func(format string, values ...any)
	sleep      func(ctx context.Context, d time.Duration) bool

	document *metadata.Document
	members  jose.Object   // of the metadata
	ahead    time.Duration // how far this machine's clock is ahead of HelseID's
	nonce    string        // the newest
	session  *login        // of -login, when it has happened
	newKey   *registered   // of -register-key, when it has happened
	requests int
}

// newLab checks the configuration. It sends nothing.
func newLab(config helseid.Config, request helseid.TokenRequest, opts options) (*lab, error) {
	config.Issuer = strings.TrimSuffix(config.Issuer, "/")
	if err := refuseProduction(config.Issuer); err != nil {
		return nil, err
	}
	client, err := helseid.New(config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Validate(request); err != nil {
		return nil, err
	}
	l := &lab{options: opts, config: config, request: request, note: func(string, ...any) {}, sleep: clock.Sleep}
	if config.Key == nil {
		return nil, errNoKey
	}
	if l.key, err = signingKey(config.Key); err != nil {
		return nil, err
	}
	if l.proofKey, err = jose.GenerateKey(); err != nil {
		return nil, err
	}
	if !request.Organization.IsZero() {
		detail, err := clientassertion.OrganizationDetail(request.Organization, config.Tenancy, config.Variants)
		if err != nil {
			return nil, err
		}
		l.detail = detail.String()
	}
	base, _ := httpx.OrNew(config.HTTPClient)
	l.transport = httpx.Transport(base)
	l.http = httpx.NoRedirect(base)
	l.http.Timeout = 30 * time.Second
	return l, nil
}

func signingKey(key *clientassertion.Key) (*jose.Key, error) {
	private, err := key.MarshalPrivateJWK()
	if err != nil {
		return nil, err
	}
	return jose.ParseKey(private, jose.KeyOptions{})
}

// prepare gets the metadata, and makes sure that a good request is answered.
func (l *lab) prepare(ctx context.Context) error {
	response, body, err := httpx.Get(ctx, l.http, l.config.Issuer+"/.well-known/openid-configuration", httpx.GetPolicy{Timeout: 10 * time.Second})
	l.requests++
	if err != nil {
		return fmt.Errorf("%w: %w", helseid.ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: the metadata has status %d", helseid.ErrInvalidResponse, response.StatusCode)
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		l.ahead = time.Since(date).Truncate(time.Second)
		if time.Since(date) < l.ahead { // Date has no fractions, and Truncate cuts towards zero
			l.ahead -= time.Second
		}
	}
	if l.document, err = metadata.Parse(body, l.config.Issuer); err != nil {
		return err
	}
	if l.members, err = jose.ParseObject(body); err != nil {
		return err
	}
	good, err := l.try(ctx, attempt{})
	if err == nil && !good.ok() {
		client, newErr := helseid.New(l.config)
		if newErr != nil {
			return newErr
		}
		defer client.Close()
		if _, err = client.Token(ctx, l.request); err == nil {
			err = fmt.Errorf("HelseID answers %v to the probe's good request, and a token to the same client's", good)
		}
	}
	return err
}

func (l *lab) close() { l.http.CloseIdleConnections() }

// now is HelseID's time, to a second.
func (l *lab) now() time.Time { return time.Now().Add(-l.ahead) }

// attempt is a request that differs from a good one in what is set.
type attempt struct {
	endpoint  string // a member of the metadata; empty: token_endpoint
	form      url.Values
	assertion func(header, claims map[string]any)
	proof     func(header, claims map[string]any)
	noProof   bool

	sentAssertion, sentProof string // used as they are

	// nonce replaces the newest one. Without it, a challenge is answered.
	nonce *string

	key, proofKey *jose.Key

	system bool // it is for a system's token, and names the organisation
}

// try sends a request. The error is for connections that fail, and for HelseID asking for
// a pause: then there is no answer to any question.
func (l *lab) try(ctx context.Context, a attempt) (reply, error) {
	got, err := l.send(ctx, a)
	if err == nil && got.code == "use_dpop_nonce" && got.nonce != "" && a.nonce == nil && !a.noProof {
		got, err = l.send(ctx, a)
	}
	return got, err
}

func (l *lab) send(ctx context.Context, a attempt) (reply, error) {
	member := a.endpoint
	if member == "" {
		member = "token_endpoint"
	}
	endpoint, err := l.document.Endpoint(member)
	if err != nil {
		return reply{}, err
	}
	form := url.Values{
		"client_id": {l.config.ClientID}, "client_assertion_type": {clientassertion.Type}, "client_assertion": {a.sentAssertion},
	}
	if a.form == nil {
		a.form, a.system = l.systemForm(), true
	}
	maps.Copy(form, a.form)
	if a.sentAssertion == "" {
		assertion, err := l.assertion(ctx, a)
		if err != nil {
			return reply{}, err
		}
		form.Set("client_assertion", assertion)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if !a.noProof {
		if a.sentProof == "" {
			if a.sentProof, err = l.proof(ctx, http.MethodPost, endpoint.String(), "", a); err != nil {
				return reply{}, err
			}
		}
		header.Set("DPoP", a.sentProof)
	}
	return l.call(ctx, http.MethodPost, endpoint.String(), header, form.Encode())
}

// systemForm is the body of a good request.
func (l *lab) systemForm() url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(l.request.Scopes) > 0 {
		form.Set("scope", strings.Join(l.request.Scopes, " "))
	}
	if l.request.Resource != "" {
		form.Set("resource", l.request.Resource)
	}
	return form
}

func (l *lab) call(ctx context.Context, method, target string, header http.Header, body string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header = header
	httpx.SetUserAgent(request.Header)
	l.requests++
	response, err := l.http.Do(request) //nolint:bodyclose // ReadBody does
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", helseid.ErrUnavailable, err)
	}
	content, err := httpx.ReadBody(response)
	if err != nil {
		return reply{}, err
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return reply{}, errPause
	}
	got := newReply(response, content)
	if got.nonce != "" {
		l.nonce = got.nonce
	}
	return got, nil
}

// assertion makes a good assertion, or one that is changed.
func (l *lab) assertion(ctx context.Context, a attempt) (string, error) {
	key := l.key
	if a.key != nil {
		key = a.key
	}
	now := l.now().Unix()
	header := map[string]any{"typ": "client-authentication+jwt", "alg": string(key.Public().Algorithm()), "kid": key.ID()}
	claims := map[string]any{
		"iss": l.config.ClientID, "sub": l.config.ClientID, "aud": l.config.Issuer, "jti": jose.NewID(), "iat": now, "nbf": now, "exp": now + 30,
	}
	if l.detail != "" && (a.system || a.form == nil) {
		claims["assertion_details"] = json.RawMessage(l.detail)
	}
	if a.assertion != nil {
		a.assertion(header, claims)
	}
	return sign(ctx, key, header, claims)
}

// proof makes a good proof, or one that is changed.
func (l *lab) proof(ctx context.Context, method, target, token string, a attempt) (string, error) {
	key := l.proofKey
	if a.proofKey != nil {
		key = a.proofKey
	}
	header := map[string]any{"typ": "dpop+jwt", "alg": string(key.Public().Algorithm()), "jwk": json.RawMessage(key.Public().JWK())}
	claims := map[string]any{"jti": jose.NewID(), "htm": method, "htu": target, "iat": l.now().Unix()}
	nonce := l.nonce
	if a.nonce != nil {
		nonce = *a.nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	} else if nonce != "" {
		claims["nonce"] = nonce
	}
	if a.proof != nil {
		a.proof(header, claims)
	}
	return sign(ctx, key, header, claims)
}

func sign(ctx context.Context, key *jose.Key, header, claims map[string]any) (string, error) {
	headerJSON, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	claimsJSON, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return key.SignRaw(ctx, headerJSON, claimsJSON)
}

// reply is an answer of HelseID's.
type reply struct {
	status    int
	code, hid string
	nonce     string
	body      jose.Object // empty if it is no JSON object
}

var (
	codeForm  = regexp.MustCompile(`^[a-z][a-z_0-9]{0,40}$`)
	hidNumber = regexp.MustCompile(`HID-[A-Z0-9-]{1,30}`)
)

func newReply(response *http.Response, content []byte) reply {
	got := reply{status: response.StatusCode, nonce: response.Header.Get("DPoP-Nonce")}
	got.body, _ = jose.ParseObject(content)
	code, _ := got.body.Get("error").Text()
	if code != "" && !codeForm.MatchString(code) {
		code = "another code"
	}
	description, _ := got.body.Get("error_description").Text()
	got.code, got.hid = code, hidNumber.FindString(description)
	return got
}

func (r reply) ok() bool { return r.status/100 == 2 }

// text returns a member of the body.
func (r reply) text(name string) string {
	text, _ := r.body.Get(name).Text()
	return text
}

// String is the reply for the report. What HelseID says in words stays out, since it may
// name the client or an organisation.
func (r reply) String() string {
	return redact.Text(strings.TrimSpace(fmt.Sprintf("%d %s %s", r.status, r.code, r.hid)))
}
