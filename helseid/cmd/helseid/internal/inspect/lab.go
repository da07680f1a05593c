package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
)

// members are those of a header or of claims, as JSON.
type members map[string]string

// taking is a copy with these members taken from an object, or left out if it has none.
func (m members) taking(object jose.Object, names ...string) members {
	taken := maps.Clone(m)
	for _, name := range names {
		delete(taken, name)
		if object.Has(name) {
			taken[name] = object.Get(name).Raw()
		}
	}
	return taken
}

func (m members) json() []byte {
	raw := make(map[string]json.RawMessage, len(m))
	for name, value := range m {
		raw[name] = json.RawMessage(value)
	}
	data, err := json.Marshal(raw)
	if err != nil { // unreachable: the strict reader has read each value
		return []byte("{}")
	}
	return data
}

func jsonText(text string) string {
	data, err := json.Marshal(text)
	if err != nil { // unreachable
		return `""`
	}
	return string(data)
}

const (
	labKeyID = "inspect" // of the lab's key
	keysPath = "/keys"   // below the issuer
)

// lab is an issuer without a network, which signs twins with a key of its own.
type lab struct {
	key    *jose.Key
	issuer string
	kids   []string // of the key
}

func newLab(issuer string, kids ...string) (*lab, error) {
	key, err := jose.GenerateKey()
	if err != nil {
		return nil, err
	}
	return &lab{key: key, issuer: issuer, kids: append(kids, labKeyID)}, nil
}

func (l *lab) sign(header, claims []byte) (string, error) {
	return l.key.SignRaw(context.Background(), header, claims)
}

// client reaches the lab and nothing else.
func (l *lab) client() *http.Client { return &http.Client{Transport: l} }

// RoundTrip implements http.RoundTripper.
func (l *lab) RoundTrip(request *http.Request) (*http.Response, error) {
	var document []byte
	switch keys := l.issuer + keysPath; {
	case strings.HasSuffix(request.URL.Path, "/.well-known/openid-configuration"):
		document = members{"issuer": jsonText(l.issuer), "jwks_uri": jsonText(keys)}.json()
	case request.URL.String() == keys:
		var published []string
		for _, kid := range l.kids {
			if kid != "" {
				published = append(published, string(l.key.Public().MarshalJWK(kid)))
			}
		}
		document = []byte(`{"keys":[` + strings.Join(published, ",") + `]}`)
	default:
		return nil, errors.New("the lab has no such page")
	}
	return answer(request, document), nil
}

func answer(request *http.Request, document []byte) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(document)),
		ContentLength: int64(len(document)), Request: request,
	}
}

// judge asks a validator about twins.
type judge struct {
	report *report
	header members // of a twin that keeps every rule
	claims members
	lab    *lab

	// ask returns the rule that a token breaks and what the validator says of it, or
	// nothing if it accepts the token.
	ask func(token string) (rule, problem string, err error)
}

// transplant are members that one or a few rules are about.
type transplant struct {
	header, claims []string // names of members
	rules          []string // that they may break
	detail         string   // more about them, for a problem
}

// rule judges what the members of a transplant break.
func (j *judge) rule(header, claims jose.Object, t transplant) error {
	rule, problem, err := j.askAbout(j.header.taking(header, t.header...), j.claims.taking(claims, t.claims...))
	if err != nil {
		return err
	}
	j.report.keeps(t.rules...)
	if rule != "" {
		j.report.breaks(rule, join(problem, t.detail))
	}
	return nil
}

func (j *judge) askAbout(header, claims members) (rule, problem string, err error) {
	token, err := j.lab.sign(header.json(), claims.json())
	if err != nil {
		return "", "", err
	}
	return j.ask(token)
}

// join adds a detail to a problem.
func join(problem, detail string) string {
	if detail == "" {
		return problem
	}
	return problem + " (" + detail + ")"
}
