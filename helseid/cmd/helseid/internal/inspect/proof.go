package inspect

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/keytext"
	"github.com/helseid-go/sdk/internal/jose"
)

// unused is a replay store that has seen no proof.
type unused struct{}

// Record implements dpop.ReplayStore.
func (unused) Record(context.Context, dpop.Use) (bool, error) { return true, nil }

// proofJudge judges a proof by twins, which have the lab's key unless the rule is about the
// key.
type proofJudge struct {
	*parsed
	q        questions
	report   *report
	lab      *lab
	verifier *dpop.Verifier
	now      time.Time
	header   members // of a twin that keeps every rule
	twin     members // its claims
}

// good is the request that a twin is for if its rule is not about the request.
var good = dpop.Expectation{Method: "GET", URI: somewhere}

func (q questions) inspectProof(ctx context.Context, jwt string) (*report, error) {
	r := &report{kind: kindProof}
	proof := r.parse("proof", jwt, jose.MaxProof)
	if proof == nil {
		return r, nil
	}
	p, err := q.newProofJudge(r, proof)
	if err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context) error{p.checkTarget, p.checkHeader, p.checkKey, p.checkClaims, p.checkToken, p.checkBinding} {
		if err := check(ctx); err != nil {
			return nil, err
		}
	}
	p.checkSignature()
	r.hintTime(q, proof, string(dpop.ReasonTime))
	r.hintOrigin(proof)
	return r, p.verdict(ctx, jwt)
}

func (q questions) newProofJudge(r *report, proof *parsed) (*proofJudge, error) {
	p := &proofJudge{parsed: proof, q: q, report: r, now: q.now.of(proof.claims)}
	var err error
	if p.lab, err = newLab(somewhere); err != nil {
		return nil, err
	}
	p.verifier, err = dpop.NewVerifier(dpop.VerifierConfig{
		Replay: unused{}, AcceptProofsFromBeforeStart: true, Time: func() time.Time { return p.now },
	})
	public := p.lab.key.Public()
	p.header = members{"typ": `"dpop+jwt"`, "alg": jsonText(string(public.Algorithm())), "jwk": public.JWK()}
	p.twin = members{"jti": `"a-twin"`, "iat": strconv.FormatInt(p.now.Unix(), 10), "htm": jsonText(good.Method), "htu": jsonText(good.URI)}
	return p, err
}

// ask asks the verifier about a twin.
func (p *proofJudge) ask(ctx context.Context, header, claims members, expected dpop.Expectation) (reason dpop.Reason, problem string, err error) {
	twin, err := p.lab.sign(header.json(), claims.json())
	if err != nil {
		return "", "", err
	}
	return p.verify(ctx, twin, expected)
}

func (p *proofJudge) verify(ctx context.Context, proof string, expected dpop.Expectation) (reason dpop.Reason, problem string, err error) {
	_, err = p.verifier.Verify(ctx, proof, expected)
	var refused *dpop.ProofError
	switch {
	case err == nil:
		return "", "", nil
	case errors.As(err, &refused):
		return refused.Reason, proofText(refused.Reason), nil
	}
	return "", "", err
}

// proofText describes a rule.
func proofText(reason dpop.Reason) string {
	return strings.TrimPrefix((&dpop.ProofError{Reason: reason}).Error(), "DPoP: ")
}

// checkTarget judges -url itself.
func (p *proofJudge) checkTarget(ctx context.Context) error {
	if p.q.target == "" {
		return nil
	}
	claims := p.twin.taking(jose.Object{})
	claims["htu"] = jsonText(p.q.target)
	reason, _, err := p.ask(ctx, p.header, claims, dpop.Expectation{Method: good.Method, URI: p.q.target})
	if reason == dpop.ReasonURI {
		return cli.Usagef("-url must be absolute, such as https://api.example.no/v1/things")
	}
	return err
}

func (p *proofJudge) checkHeader(ctx context.Context) error {
	p.report.keeps(string(dpop.ReasonType))
	reason, problem, err := p.ask(ctx, p.header.taking(p.parsed.header, "typ"), p.twin, good)
	if reason != "" {
		p.report.breaks(string(reason), join(problem, textOf(p.parsed.header, "typ")))
	}
	return err
}

// claim judges claims, by a request that the rule is about.
func (p *proofJudge) claim(ctx context.Context, rule dpop.Reason, name, detail string, expected dpop.Expectation) error {
	p.report.keeps(string(rule))
	reason, problem, err := p.ask(ctx, p.header, p.twin.taking(p.claims, name), expected)
	if reason != "" {
		p.report.breaks(string(reason), join(problem, detail))
	}
	return err
}

func (p *proofJudge) checkClaims(ctx context.Context) error {
	method, target := p.request()
	for _, rule := range []struct {
		reason       dpop.Reason
		name, detail string
		expected     dpop.Expectation
	}{
		{dpop.ReasonID, "jti", p.missing("jti"), good},
		{dpop.ReasonMethod, "htm", compared(textOf(p.claims, "htm"), "the method", p.q.method), dpop.Expectation{Method: method, URI: good.URI}},
		{dpop.ReasonURI, "htu", compared(textOf(p.claims, "htu"), "the URL", withoutQuery(p.q.target)), dpop.Expectation{Method: good.Method, URI: target}},
		{dpop.ReasonTime, "iat", when(p.claims, "iat", p.now), good},
		{dpop.ReasonTime, "exp", when(p.claims, "exp", p.now), good},
		{dpop.ReasonTime, "nbf", when(p.claims, "nbf", p.now), good},
		{dpop.ReasonNonce, "nonce", "nonce is no text", good},
	} {
		if err := p.claim(ctx, rule.reason, rule.name, rule.detail, rule.expected); err != nil {
			return err
		}
	}
	for _, unasked := range []struct{ claim, flag, asked string }{{"htm", "-method", p.q.method}, {"htu", "-url", p.q.target}} {
		if _, ok := p.claims.Get(unasked.claim).Text(); ok && unasked.asked == "" {
			p.report.hint("%s: %s says what it must be", textOf(p.claims, unasked.claim), unasked.flag)
		}
	}
	// A verifier knows its own nonces only.
	if nonce, _ := p.claims.Get("nonce").Text(); p.q.nonce != "" && nonce != p.q.nonce {
		p.report.breaks(string(dpop.ReasonNonce), join(proofText(dpop.ReasonNonce), cmp.Or(p.missing("nonce"), "it is another one")))
	}
	return nil
}

// request is the method and the URL that the proof must be for. What was not asked for is
// the proof's own, so that its form is judged.
func (p *proofJudge) request() (method, target string) {
	ownMethod, _ := p.claims.Get("htm").Text()
	ownTarget, _ := p.claims.Get("htu").Text()
	return cmp.Or(p.q.method, ownMethod), cmp.Or(p.q.target, ownTarget)
}

func compared(own, what, asked string) string {
	if asked == "" {
		return own
	}
	return own + ", and " + what + " is " + named(asked)
}

// missing says that a claim is, or nothing: its value tells nobody anything.
func (p *proofJudge) missing(name string) string {
	if p.claims.Get(name).Absent() {
		return name + " is missing"
	}
	return ""
}

func withoutQuery(target string) string {
	target, _, _ = strings.Cut(target, "#")
	target, _, _ = strings.Cut(target, "?")
	return target
}

// checkKey judges alg and jwk. A twin with the proof's key cannot be signed with it: a
// verifier that gets as far as the signature has accepted both.
func (p *proofJudge) checkKey(ctx context.Context) error {
	p.report.keeps(string(dpop.ReasonAlgorithm), string(dpop.ReasonKey))
	header := p.parsed.header
	reason, problem, err := p.ask(ctx, p.header.taking(header, "alg", "jwk"), p.twin, good)
	if err != nil {
		return err
	}
	switch reason {
	case dpop.ReasonKey:
		p.report.breaks(string(reason), join(problem, p.keyProblem()))
	case dpop.ReasonAlgorithm:
		p.report.breaks(string(reason), join(problem, textOf(header, "alg")))
		for _, algorithm := range jose.Algorithms() { // is it the key, too?
			twin := p.header.taking(header, "jwk")
			twin["alg"] = jsonText(string(algorithm))
			if reason, problem, err = p.ask(ctx, twin, p.twin, good); err != nil {
				return err
			}
			if reason == dpop.ReasonKey {
				p.report.breaks(string(reason), join(problem, p.keyProblem()))
			}
		}
	}
	return nil
}

// keyProblem says what is wrong with the header's jwk.
func (p *proofJudge) keyProblem() string {
	jwk, ok := p.parsed.header.Get("jwk").Object()
	if !ok {
		return "jwk is missing or no object"
	}
	if jose.HasPrivateMember(jwk) {
		return "it holds the private key: whoever has seen this proof has the key, so replace it"
	}
	if _, err := jose.ParsePublicJWK(jwk, ""); err != nil {
		return err.Error()
	}
	return ""
}

// checkToken compares ath with the access token.
func (p *proofJudge) checkToken(ctx context.Context) error {
	if p.q.accessToken != "" {
		return p.claim(ctx, dpop.ReasonTokenHash, "ath", p.missing("ath"), dpop.Expectation{Method: good.Method, URI: good.URI, AccessToken: p.q.accessToken})
	}
	p.report.unchecked(string(dpop.ReasonTokenHash), "give the access token with -token")
	if p.claims.Get("ath").Absent() {
		p.report.hint("it has no ath: that is right at HelseID's own endpoints, and an API demands one")
	}
	return nil
}

// checkBinding compares the proof's key with the token's cnf.
func (p *proofJudge) checkBinding(ctx context.Context) error {
	rule := string(dpop.ReasonBinding)
	if p.q.accessToken == "" {
		p.report.unchecked(rule, "give the access token with -token")
		return nil
	}
	thumbprint, ok := p.boundTo(ctx)
	switch {
	case !ok:
		p.report.unchecked(rule, "the access token cannot be read: inspect it by itself")
		return nil
	case thumbprint == "":
		p.report.breaks("token_binding", "the access token is not bound to a DPoP key (cnf.jkt), so no proof fits it")
		return nil
	}
	expected := good
	expected.Thumbprint = thumbprint
	reason, problem, err := p.ask(ctx, p.header.taking(p.parsed.header, "alg", "jwk"), p.twin, expected)
	switch reason {
	case dpop.ReasonBinding:
		p.report.breaks(rule, problem)
	case dpop.ReasonAlgorithm, dpop.ReasonKey:
		p.report.unchecked(rule, "there is no key to compare")
	default:
		p.report.keeps(rule)
	}
	return err
}

// boundTo is the thumbprint of the key that the access token is bound to, or "" if it is
// not bound to one.
func (p *proofJudge) boundTo(ctx context.Context) (thumbprint string, ok bool) {
	confirmation, err := confirmationOf(ctx, p.q.accessToken)
	return confirmation.Thumbprint, err == nil
}

// checkSignature verifies with the header's key.
func (p *proofJudge) checkSignature() {
	rule := string(dpop.ReasonSignature)
	jwk, ok := p.parsed.header.Get("jwk").Object()
	algorithm, _ := p.parsed.header.Get("alg").Text()
	key, err := jose.ParsePublicJWK(jwk, jose.Algorithm(algorithm))
	if !ok || algorithm == "" || err != nil {
		p.report.unchecked(rule, "there is no key to check it with")
		return
	}
	p.report.keeps(rule)
	if p.compact.Verify(key) != nil {
		p.report.breaks(rule, proofText(dpop.ReasonSignature))
	}
	p.report.hint("its key is %s, with the thumbprint %s", keytext.Strength(key), key.Thumbprint())
}

// verdict asks the verifier about the proof itself.
func (p *proofJudge) verdict(ctx context.Context, jwt string) error {
	method, target := p.request()
	thumbprint := ""
	if p.q.accessToken != "" {
		thumbprint, _ = p.boundTo(ctx)
	}
	reason, problem, err := p.verify(ctx, jwt, dpop.Expectation{Method: method, URI: target, AccessToken: p.q.accessToken, Thumbprint: thumbprint})
	if err != nil || reason == dpop.ReasonTokenHash && p.q.accessToken == "" {
		return err // without the token, a verifier refuses any ath
	}
	p.report.judged("package dpop", string(reason), problem)
	return nil
}
