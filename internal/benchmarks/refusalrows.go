package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/benchmarks/lab"
	"github.com/helseid-go/sdk/internal/benchmarks/peers"
	"github.com/helseid-go/sdk/middleware"
)

// What a refused request may cost compared with an accepted one, in time and in allocated bytes:
// whoever wears an API out with requests that it refuses must send about as many as
// those that it is there for.
const (
	maxRefusalTime  = 3
	maxRefusalBytes = 10
)

// refusalBench makes requests that a guard refuses, each as dear as its sender can
// make it.
type refusalBench struct {
	world   *peers.World
	token   string // of the world's caller
	guard   *middleware.Middleware
	handler http.Handler
	good    *task
}

// refusalRows compare each refusal with a good request of a client whose token has
// been seen before, which is the bare task.
func refusalRows(world *peers.World, token string) (rows []*row, end func(), err error) {
	b := &refusalBench{world: world, token: token}
	b.guard, err = middleware.New(middleware.Config{
		Issuer: world.Issuer.URL, Audience: lab.Audience, ForwardedHeader: middleware.Forwarded,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Audit:          func(context.Context, middleware.Record) {},
	})
	if err != nil {
		return nil, nil, err
	}
	b.handler = b.guard.Require(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		middleware.Scope(lab.Scope), middleware.SecurityLevel(4), middleware.HPRNumber())
	b.good = prepared(func() (*http.Request, error) { return world.Caller.Request(world.Target, token) }, serve(b.handler))
	for _, make := range []func() ([]*row, error){b.tokens, b.proofs, b.rsaProofs, b.requests} {
		found, err := make()
		if err != nil {
			b.guard.Close()
			return nil, nil, err
		}
		rows = append(rows, found...)
	}
	return rows, b.guard.Close, nil
}

// refused is the row of a request that is refused with this reason, again each time.
func (b *refusalBench) refused(name, reason string, request *http.Request) *row {
	return b.freshlyRefused(name, reason, func() (*http.Request, error) { return request, nil })
}

// freshlyRefused is the same for requests that grow stale.
func (b *refusalBench) freshlyRefused(name, reason string, fresh func() (*http.Request, error)) *row {
	var answer refusalWriter
	return &row{
		name: name, bare: b.good, maxRatio: maxRefusalTime, maxBytes: maxRefusalBytes,
		ours: prepared(fresh, func(request *http.Request) error {
			answer.reset()
			b.handler.ServeHTTP(&answer, request)
			if answer.Status == http.StatusNoContent || !strings.Contains(answer.body, `"reason":"`+reason+`"`) {
				return fmt.Errorf("%s: answered with status %d: %s", name, answer.Status, answer.body)
			}
			return nil
		}),
	}
}

// refusalWriter keeps the start of the answer, which says why.
type refusalWriter struct {
	lab.Writer
	body string
}

func (w *refusalWriter) reset() {
	w.Reset()
	w.body = ""
}

func (w *refusalWriter) Write(data []byte) (int, error) {
	w.body = string(data)
	return len(data), nil
}

// request is a GET with these headers.
func (b *refusalBench) request(token, proof string) (*http.Request, error) {
	request, err := b.world.Caller.Request(b.world.Target, token)
	if err == nil && proof != "" {
		request.Header["Dpop"] = []string{proof}
	}
	return request, err
}

// fill repeats a text with numbers in it until the whole takes so many bytes.
func fill(size int, part func(i int) string) string {
	var all strings.Builder
	for i := 0; ; i++ {
		text := part(i)
		if all.Len()+len(text) > size {
			return strings.TrimSuffix(all.String(), ",")
		}
		all.WriteString(text)
	}
}

func smallMember(i int) string { return fmt.Sprintf(`"%s":1,`, strconv.FormatInt(int64(i), 36)) }
func escapedMember(i int) string {
	return fmt.Sprintf(`"\u0061%s":1,`, strconv.FormatInt(int64(i), 36))
}
func emptyObject(int) string { return "{}," }
func zero(int) string        { return "0," }

// stuffing is what a document of about this size can be filled with, as members.
func stuffing(size int) map[string]string {
	return map[string]string{
		"small members":           fill(size, smallMember),
		"members with escapes":    fill(size, escapedMember),
		"small objects in a list": `"filler":[` + fill(size, emptyObject) + `]`,
		"numbers in a list":       `"filler":[` + fill(size, zero) + `]`,
		"one number":              `"filler":` + strings.Repeat("9", size),
		"one text with escapes":   `"filler":"` + fill(size, func(int) string { return `\u00e5` }) + `"`,
		"nested lists":            `"filler":[` + fill(size, func(int) string { return strings.Repeat("[", 30) + strings.Repeat("]", 30) + "," }) + `]`,
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sizes of the payload and of the header, so that the whole stays within the limits
// for tokens and proofs.
const (
	tokenStuffing = 10_800
	proofStuffing = 5_300
)

// tokens are forged access tokens, signed by nobody.
func (b *refusalBench) tokens() ([]*row, error) {
	forge := func(header, claims string) string {
		return encode(header) + "." + encode(claims) + "." + encode(strings.Repeat("s", b.world.Issuer.Private.Size()))
	}
	claims := b.world.Issuer.Claims(b.world.Caller.Prover.Thumbprint())
	text := func(change func(map[string]any), extra string) (string, error) {
		changed := maps.Clone(claims)
		if change != nil {
			change(changed)
		}
		data, err := json.Marshal(changed)
		if err != nil || extra == "" {
			return string(data), err
		}
		return strings.TrimSuffix(string(data), "}") + "," + extra + "}", nil
	}
	var rows []*row
	add := func(name, reason, header string, change func(map[string]any), extra string) error {
		claims, err := text(change, extra)
		if err != nil {
			return err
		}
		request, err := b.request(forge(header, claims), "")
		if err != nil {
			return err
		}
		rows = append(rows, b.refused("token: "+name, reason, request))
		return nil
	}
	header := b.world.Issuer.Header()
	if err := add("a wrong signature", "token_signature", header, nil, ""); err != nil {
		return nil, err
	}
	foreign := func(claims map[string]any) { claims["iss"] = "https://elsewhere.example" }
	stuffed := stuffing(tokenStuffing)
	for _, name := range sortedKeys(stuffed) {
		reason := "token_malformed"
		if name == "one text with escapes" {
			reason = "token_signature"
		}
		if err := add(name, reason, header, nil, stuffed[name]); err != nil {
			return nil, err
		}
		wide := strings.TrimSuffix(header, "}") + "," + stuffed[name] + "}"
		if reason == "token_signature" {
			continue
		}
		if err := add(name+", in the header", "token_malformed", wide, nil, ""); err != nil {
			return nil, err
		}
	}
	if err := add("small members, another issuer", "token_malformed", header, foreign, stuffed["small members"]); err != nil {
		return nil, err
	}
	chain := `"act":` + strings.Repeat(`{"act":`, 9) + `{"x":"` + strings.Repeat("y", tokenStuffing-200) + `"}` + strings.Repeat("}", 9)
	if err := add("a chain of actors around a long text", "token_signature", header, nil, chain); err != nil {
		return nil, err
	}
	many := func(claims map[string]any) { claims["aud"] = strings.Split(strings.Repeat("a", 450), "") }
	if err := add("many audiences", "token_audience", header, many, ""); err != nil {
		return nil, err
	}
	times := func(claims map[string]any) {
		for _, name := range []string{"iat", "nbf", "exp"} {
			claims[name] = json.Number(strings.Repeat("9", tokenStuffing/3))
		}
	}
	return rows, add("endless times", "token_malformed", header, times, "")
}

// proofs come with a genuine token, and are signed by its key unless they are refused
// before that.
func (b *refusalBench) proofs() ([]*row, error) {
	jwk, err := b.world.Caller.JWK()
	if err != nil {
		return nil, err
	}
	own := func(jwk string) string { return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + jwk + `}` }
	claims := func(htu, extra string) string {
		return fmt.Sprintf(`{"jti":"a","htm":"GET","htu":%q,"iat":1%s}`, htu, extra)
	}
	var rows []*row
	add := func(name, reason, header, claims string) error {
		proof, err := b.world.Caller.RawProof(header, claims)
		if err != nil {
			return err
		}
		request, err := b.request(b.token, proof)
		if err != nil {
			return err
		}
		rows = append(rows, b.refused("proof: "+name, reason, request))
		return nil
	}
	stuffed := stuffing(proofStuffing)
	target := b.world.Target.String()
	for _, name := range sortedKeys(stuffed) {
		reason, inHeader := "proof_malformed", "proof_malformed"
		switch name {
		case "one text with escapes":
			reason, inHeader = "proof_iat", "proof_iat"
		case "members with escapes": // not too many of them fit in
			reason = "proof_iat"
		}
		if err := add(name, reason, own(jwk), claims(target, ","+stuffed[name])); err != nil {
			return nil, err
		}
		if err := add(name+", in its key", inHeader, own(strings.TrimSuffix(jwk, "}")+","+stuffed[name]+"}"), claims(target, "")); err != nil {
			return nil, err
		}
	}
	for name, path := range map[string]string{
		"a URL of escapes":  strings.Repeat("%c3", proofStuffing/3),
		"a URL of brackets": strings.Repeat("[", proofStuffing),
	} {
		if err := add(name, "proof_htu", own(jwk), claims(target+"/"+path, "")); err != nil {
			return nil, err
		}
	}
	host := "http://" + strings.Repeat("%", proofStuffing) + "/"
	return rows, add("a host of escapes", "proof_htu", own(jwk), claims(host, ""))
}

// rsaProofs are forged proofs by RSA keys, which are as dear as the key lets them be.
// The largest that is accepted costs so much by itself that the good request beside it
// has a proof by the same key.
func (b *refusalBench) rsaProofs() ([]*row, error) {
	const standardExponent, largestExponent = 1<<16 + 1, 1<<31 - 1
	largest, err := b.rsaRow("proof: by a key of RSA-4096 (bare: a good one by it)", "proof_signature", 4096, standardExponent)
	if err != nil {
		return nil, err
	}
	if largest.bare, err = b.goodRSA(); err != nil {
		return nil, err
	}
	rows := []*row{largest}
	for bits, exponent := range map[int]int64{4096: largestExponent, 8192: largestExponent} {
		found, err := b.rsaRow(fmt.Sprintf("proof: by a key of RSA-%d with exponent %d", bits, exponent), "proof_jwk", bits, exponent)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found)
	}
	return rows, nil
}

// rsaRow has a key that nobody has the private half of: it is for refusals.
func (b *refusalBench) rsaRow(name, reason string, bits int, exponent int64) (*row, error) {
	modulus := make([]byte, bits/8)
	_, _ = rand.Read(modulus)
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	jwk := fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, encode(string(big.NewInt(exponent).Bytes())), encode(string(modulus)))
	thumbprint := sha256.Sum256([]byte(jwk))
	token, err := b.world.Issuer.Token(b.world.Issuer.Claims(encode(string(thumbprint[:]))))
	if err != nil {
		return nil, err
	}
	hash, signature := sha256.Sum256([]byte(token)), bytes.Repeat([]byte{1}, len(modulus))
	return b.freshlyRefused(name, reason, func() (*http.Request, error) {
		claims := fmt.Sprintf(`{"jti":"a","htm":"GET","htu":%q,"iat":%d,"ath":%q}`, b.world.Target, time.Now().Unix(), encode(string(hash[:])))
		return b.request(token, encode(`{"typ":"dpop+jwt","alg":"PS256","jwk":`+jwk+`}`)+"."+encode(claims)+"."+encode(string(signature)))
	}), nil
}

// goodRSA is a good request whose proof is by a key of RSA-4096.
func (b *refusalBench) goodRSA() (*task, error) {
	private, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		return nil, err
	}
	key, err := dpop.NewKey(private, dpop.KeyOptions{Algorithm: "PS256"})
	if err != nil {
		return nil, err
	}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	if err != nil {
		return nil, err
	}
	token, err := b.world.Issuer.Token(b.world.Issuer.Claims(key.Thumbprint()))
	if err != nil {
		return nil, err
	}
	return prepared(func() (*http.Request, error) {
		proof, err := prover.Proof(context.Background(), dpop.Target{Method: http.MethodGet, URL: b.world.Target, AccessToken: token})
		if err != nil {
			return nil, err
		}
		return b.request(token, proof)
	}, serve(b.handler)), nil
}

// requests are those whose other parts are dear.
func (b *refusalBench) requests() ([]*row, error) {
	var rows []*row
	add := func(name, reason string, change func(*http.Request)) error {
		request, err := b.request(b.token, "")
		if err == nil {
			change(request)
			rows = append(rows, b.refused("request: "+name, reason, request))
		}
		return err
	}
	const long = 500_000
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	query := func(query string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = query; r.RequestURI += "?" + query }
	}
	for _, c := range []struct {
		name, reason string
		change       func(*http.Request)
	}{
		{"no token", "no_credentials", func(r *http.Request) { r.Header.Del("Authorization") }},
		{"a token of 500 KB", "token_too_long", set("Authorization", "DPoP "+strings.Repeat("a", long))},
		{"500 KB of spaces before the token", "token_too_long", set("Authorization", "DPoP "+strings.Repeat(" ", long))},
		{"a proof of 500 KB", "proof_too_long", set("Dpop", strings.Repeat("a", long))},
		{"5000 proofs", "proof_repeated", func(r *http.Request) { r.Header["Dpop"] = strings.Split(strings.Repeat("a", 5000), "") }},
		{"a query of 500 KB of ampersands", "target_too_long", query(strings.Repeat("&", long))},
		{"a query of 32 KB of escapes", "proof_missing", func(r *http.Request) {
			query(strings.Repeat("%61ccess%5ftoke&", 2000))(r)
			r.Header.Del("Dpop")
		}},
		{"a query of 500 KB of escapes", "target_too_long", query(strings.Repeat("%61&", long/4))},
		{"a path of 500 KB", "target_too_long", func(r *http.Request) { r.RequestURI = "/" + strings.Repeat("a", long) }},
		{"500 KB of commas in Forwarded", "original_request", set("Forwarded", strings.Repeat(",", long))},
		{"500 KB of trusted proxies in Forwarded", "original_request", set("Forwarded", strings.Repeat("for=127.0.0.1,", long/14))},
		{"500 KB of parameters in Forwarded", "original_request", set("Forwarded", strings.Repeat("a=b;", long/4))},
	} {
		if err := add(c.name, c.reason, c.change); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
