package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/input"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/verification"
	"github.com/helseid-go/sdk/tokenvalidation"
)

// Placeholders for what a token itself does not name.
const (
	somebody  = "somebody"
	somewhere = "https://issuer.invalid"
)

func (q questions) inspectAccessToken(ctx context.Context, jwt string) (*report, error) {
	r := &report{kind: kindAccessToken}
	token := r.parse("token", jwt, verification.MaxToken)
	if token == nil {
		return r, nil
	}
	e, err := q.expecting(token)
	if err != nil {
		return nil, err
	}
	validator, err := newValidator(e)
	if err != nil {
		return nil, err
	}
	defer validator.Close()
	j := e.judge(r, "at+jwt", func(token string) (string, string, error) {
		_, err := validator.Validate(ctx, token)
		return tokenRefusal(err)
	})
	e.checkKeyID(j)
	for _, t := range append(e.commonTransplants(token), transplant{
		claims: []string{"act"}, rules: []string{"token_actors"},
	}) {
		if err := j.rule(token.header, token.claims, t); err != nil {
			return nil, err
		}
	}
	askable, err := q.checkSignature(ctx, r, jwt)
	if err != nil {
		return nil, err
	}
	if err := r.readClaims(ctx, e, j, validator); err != nil {
		return nil, err
	}
	r.hintTime(q, token, "token_expired")
	if askable && e.broken == "" {
		q.accessTokenVerdict(ctx, r, e, j, jwt)
	}
	return r, nil
}

// expected is what a token is compared with.
type expected struct {
	*parsed
	lab      *lab
	issuer   string
	audience string
	now      time.Time
	ownNames bool   // the issuer is the token's own
	broken   string // why the token's own issuer is none, or ""
}

// expecting fills in from the token what was not asked for.
func (q questions) expecting(token *parsed) (*expected, error) {
	e := &expected{parsed: token, issuer: q.issuer, audience: q.audience, now: q.now.of(token.claims)}
	if e.issuer == "" {
		e.issuer, _ = token.claims.Get("iss").Text()
		e.ownNames = true
		if _, err := tokenvalidation.New(tokenvalidation.Config{Issuer: e.issuer, Audience: somebody, TokenMemory: -1}); err != nil {
			e.broken = "iss is no issuer that can be used: " + strings.TrimPrefix(err.Error(), tokenvalidation.ErrConfig.Error()+": field Issuer ")
			e.issuer = somewhere
		}
		e.issuer = strings.TrimRight(e.issuer, "/")
	}
	if e.audience == "" {
		names, _ := token.claims.Get("aud").Texts(1000)
		if len(names) > 0 {
			e.audience = names[0]
		}
		if strings.TrimSpace(e.audience) == "" {
			e.audience = somebody
		}
	}
	kid, _ := token.header.Get("kid").Text()
	var err error
	e.lab, err = newLab(e.issuer, kid)
	return e, err
}

func newValidator(e *expected) (*tokenvalidation.Validator, error) {
	return tokenvalidation.New(tokenvalidation.Config{
		Issuer: e.issuer, Audience: e.audience, HTTPClient: e.lab.client(), TokenMemory: -1,
		Time: func() time.Time { return e.now },
	})
}

// judge makes twins of a token of this type.
func (e *expected) judge(r *report, typ string, ask func(string) (string, string, error)) *judge {
	now := e.now.Unix()
	return &judge{
		report: r, lab: e.lab, ask: ask,
		header: members{"typ": jsonText(typ), "alg": jsonText(string(e.lab.key.Public().Algorithm())), "kid": jsonText(labKeyID)},
		claims: members{
			"iss": jsonText(e.issuer), "aud": jsonText(e.audience), "jti": jsonText("a-twin"), "sub": jsonText("a-person"),
			"iat": strconv.FormatInt(now, 10), "exp": strconv.FormatInt(now+300, 10),
		},
	}
}

// commonTransplants are the rules that all tokens share (package internal/verification).
func (e *expected) commonTransplants(token *parsed) []transplant {
	issuer := textOf(token.claims, "iss")
	if !e.ownNames {
		issuer += ", and the issuer is " + named(e.issuer)
	}
	return []transplant{
		{header: []string{"typ"}, rules: []string{"token_typ"}, detail: textOf(token.header, "typ")},
		{claims: []string{"iss"}, rules: []string{"token_issuer"}, detail: cmp.Or(e.broken, issuer)},
		{claims: []string{"aud"}, rules: []string{"token_audience"}, detail: e.audienceDetail(token)},
		{claims: []string{"exp"}, rules: []string{"token_times", "token_expired"}, detail: when(token.claims, "exp", e.now)},
		{claims: []string{"nbf"}, rules: []string{"token_not_yet_valid"}, detail: when(token.claims, "nbf", e.now)},
		{claims: []string{"iat"}, rules: []string{"token_not_yet_valid"}, detail: when(token.claims, "iat", e.now)},
	}
}

func (e *expected) audienceDetail(token *parsed) string {
	value := token.claims.Get("aud")
	names, ok := value.Texts(10)
	switch {
	case value.Absent():
		return "aud is missing"
	case !ok:
		return "aud is neither a text nor a list of some texts"
	case len(names) != 1:
		return fmt.Sprintf("aud names %d", len(names))
	}
	return "aud is " + named(names[0]) + ", and it must be " + named(e.audience)
}

// checkKeyID judges the header's alg and kid, which are the first that a validator needs to
// find the issuer's key.
func (e *expected) checkKeyID(j *judge) {
	j.report.keeps("token_alg", "token_unknown_key")
	algorithm, ok := e.header.Get("alg").Text()
	if !ok || !isAlgorithm(algorithm) {
		j.report.breaks("token_alg", join("the token's alg is none of those that HelseID may use", textOf(e.header, "alg")))
	}
	rule, problem, err := j.askAbout(j.header.taking(e.header, "kid"), j.claims)
	if err == nil && rule != "" {
		j.report.breaks(rule, join(problem, textOf(e.header, "kid")))
	}
}

func isAlgorithm(name string) bool { return slices.Contains(jose.Algorithms(), jose.Algorithm(name)) }

// tokenRefusal is the rule that a validator names.
func tokenRefusal(err error) (rule, problem string, other error) {
	var refused *tokenvalidation.Error
	switch {
	case err == nil:
		return "", "", nil
	case errors.As(err, &refused):
		return string(refused.Reason), refused.Error(), nil
	}
	return "", "", err
}

// readClaims says what a validator has read of the claims, and judges the binding as the
// middleware does.
func (r *report) readClaims(ctx context.Context, e *expected, j *judge, validator *tokenvalidation.Validator) error {
	good := members{"iss": j.claims["iss"], "aud": j.claims["aud"], "exp": j.claims["exp"]}
	claims := good.taking(e.claims, without(e.claims.Names(), "iss", "aud", "exp", "nbf", "iat", "act")...)
	twin, err := e.lab.sign(j.header.json(), claims.json())
	if err != nil {
		return err
	}
	r.keeps("token_binding")
	read, err := validator.Validate(ctx, twin)
	if err != nil {
		return nil // it is too long, which has been said
	}
	switch binding := read.Confirmation; {
	case binding.Unsupported:
		r.breaks("token_binding", "cnf demands something else than a DPoP key (jkt alone), so every API must refuse the token")
	case !binding.Present:
		r.hint("it is not bound to a key (cnf): an API that demands DPoP refuses it")
	}
	for _, name := range read.Malformed {
		r.hint("%s is of a wrong type, and validators leave it out", named(name))
	}
	if len(read.Scopes) == 0 {
		r.hint("it has no scope")
	}
	whose := "it is the token of a user"
	if read.IsSystem() {
		whose = "it is the token of a system"
	}
	r.hint("%s", whose)
	r.hintOrigin(e.parsed)
	return nil
}

// hintTime says what time counts.
func (r *report) hintTime(q questions, token *parsed, rule string) {
	_, told := token.claims.Get("iat").Seconds()
	switch {
	case q.now.text != "":
		r.hint("it is judged as of %s", q.now.of(token.claims).UTC().Format(time.RFC3339))
	case r.isBroken(rule) && told:
		r.hint("-now iat judges it as of when it was made")
	}
}

// hintOrigin says where a token is from, and what other readers could misread.
func (r *report) hintOrigin(token *parsed) {
	issuer, _ := token.claims.Get("iss").Text()
	switch helseid.Environment(issuer) {
	case helseid.Production:
		r.hint("its issuer is HelseID in production")
	case helseid.Test:
		r.hint("its issuer is HelseID's test environment")
	}
	if token.header.Has(mint.MarkerHeader) {
		r.hint("it was made by package helseidtest, not by HelseID")
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "events", "jti", "sid", "cnf", "scope", "htm", "htu", "ath"} {
		if token.claims.CheckFolded(name) != nil {
			r.hint("a member differs from %s in case only: other libraries may take it for %s", name, name)
		}
	}
}

func without(names []string, others ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(others, name) })
}

// accessTokenVerdict asks the validator about the whole: with the issuer's keys if they may
// be fetched, else about all of it but the key and the signature.
func (q questions) accessTokenVerdict(ctx context.Context, r *report, e *expected, j *judge, jwt string) {
	name := "package tokenvalidation, which does not look at the signature here,"
	rule, problem, err := "", "", error(nil)
	if q.issuer == "" {
		var twin string
		if twin, err = e.lab.sign(j.header.taking(e.header, "typ").json(), e.compact.Payload); err == nil {
			rule, problem, err = j.ask(twin)
		}
	} else {
		name = "package tokenvalidation"
		var validator *tokenvalidation.Validator
		validator, err = tokenvalidation.New(tokenvalidation.Config{
			Issuer: q.issuer, Audience: e.audience, TokenMemory: -1, Time: func() time.Time { return e.now },
		})
		if err == nil {
			defer validator.Close()
			_, err = validator.Validate(ctx, jwt)
			rule, problem, err = tokenRefusal(err)
		}
	}
	if err != nil {
		return // the keys, which has been said
	}
	r.judged(name, rule, problem)
}

// confirmationOf is the cnf of a token as a validator reads it, whatever else is wrong with
// the token.
func confirmationOf(ctx context.Context, jwt string) (tokenvalidation.Confirmation, error) {
	token := (&report{}).parse("token", jwt, input.Max)
	if token == nil {
		return tokenvalidation.Confirmation{}, errors.New("it cannot be read")
	}
	e := &expected{parsed: token, issuer: somewhere, audience: somebody, now: time.Now()}
	var err error
	if e.lab, err = newLab(somewhere); err != nil {
		return tokenvalidation.Confirmation{}, err
	}
	validator, err := newValidator(e)
	if err != nil {
		return tokenvalidation.Confirmation{}, err
	}
	defer validator.Close()
	j := e.judge(nil, "at+jwt", nil)
	twin, err := e.lab.sign(j.header.json(), j.claims.taking(token.claims, "cnf").json())
	if err != nil {
		return tokenvalidation.Confirmation{}, err
	}
	read, err := validator.Validate(ctx, twin)
	if err != nil {
		return tokenvalidation.Confirmation{}, err
	}
	return read.Confirmation, nil
}
