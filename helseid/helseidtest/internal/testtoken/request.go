package testtoken

import (
	"slices"
	"strconv"
	"time"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/internal/jose"
)

// request is a request to TTT, converted to options.
type request struct {
	service *Service
	reader  *memberReader
	token   []mint.TokenOption
	proof   []mint.ProofOption

	wantsProof     bool
	method, target string
}

func (r *request) add(options ...mint.TokenOption) { r.token = append(r.token, options...) }

// text adds an option for each text that is given.
func (r *request) text(part *memberReader, name string, option func(string) mint.TokenOption) {
	if value := part.text(name); value != "" {
		r.add(option(value))
	}
}

// setting makes an option that sets a claim.
func setting(name string) func(string) mint.TokenOption {
	return func(value string) mint.TokenOption { return mint.Claim(name, value) }
}

func (r *request) read() {
	r.add(mint.WithoutDefaultClaims(), mint.Unbound())
	if audience := r.reader.text("audience"); audience != "" {
		r.add(mint.Audience(audience))
	} else {
		r.reader.fail("audience")
	}
	r.client()
	r.user()
	if r.reader.bool("createTillitsrammeverkClaims") {
		r.attest()
	}
	if r.reader.bool("createTokenExchangeClaims") {
		part := r.reader.child("tokenExchangeParameters")
		r.add(mint.ExchangedBy(mint.Actor{ClientID: part.text("clientId"), ParentOrganization: part.text("orgnrParent"), Issuer: part.text("issuer")}))
	}
	for _, specific := range r.reader.children("apiSpecificClaims") {
		kind, value := specific.text("type"), specific.text("value")
		if kind == "" {
			specific.fail("type")
		}
		r.add(mint.Claim(kind, value))
	}
	r.bindings()
	r.expiry()
	r.broken()
}

// bindings makes the proof, and binds the token to its key.
func (r *request) bindings() {
	if !r.reader.bool("createDPoPTokenWithDPoPProof") {
		return
	}
	part := r.reader.child("dPoPProofParameters")
	kind, _ := part.number("invalidDPoPProofParameters")
	r.wantsProof, r.target, r.method = true, part.text("htuClaimValue"), part.text("htmClaimValue")
	if r.target == "" && kind != 1 {
		part.fail("htuClaimValue")
	}
	if r.method == "" && kind != 2 {
		part.fail("htmClaimValue")
	}
	thumbprint := r.service.Minter.ProofKey.Thumbprint()
	if jwk := part.text("privateKeyForProofCreation"); jwk != "" {
		key, err := jose.ParseKey([]byte(jwk), jose.KeyOptions{})
		if err != nil {
			part.fail("privateKeyForProofCreation")
			return
		}
		thumbprint = key.Public().Thumbprint()
		r.proof = append(r.proof, mint.ProofKey([]byte(jwk)))
	}
	r.add(mint.BoundTo(thumbprint))
	if kind == 0 {
		return
	}
	invalid := mint.InvalidProofs()
	i := slices.IndexFunc(invalid, func(broken mint.InvalidProof) bool { return int64(broken.Number) == kind })
	switch {
	case i < 0:
		part.fail("invalidDPoPProofParameters")
	case invalid[i].Token != nil:
		r.add(invalid[i].Token)
	default:
		r.proof = append(r.proof, invalid[i].Proof)
	}
}

func (r *request) expiry() {
	part := r.reader.child("expirationParameters")
	// .NET clients send the least number for one that is not set.
	seconds, _ := part.number("expirationTimeInSeconds")
	days, _ := part.number("expirationTimeInDays")
	const limit = 10 * 365
	switch {
	case part.bool("setExpirationTimeAsExpired"):
		r.add(mint.Expired())
	case days > limit || seconds > limit*24*60*60:
		part.fail("expirationTimeInDays and expirationTimeInSeconds (at most ten years)")
	case days > 0:
		r.add(mint.ExpiresIn(time.Duration(days) * 24 * time.Hour))
	case seconds > 0:
		r.add(mint.ExpiresIn(time.Duration(seconds) * time.Second))
	}
}

// broken handles the switches for headers and for invalid tokens.
func (r *request) broken() {
	header := r.reader.child("headerParameters")
	switch typ := header.text("typ"); typ {
	case "":
	case "jwt", "at+jwt":
		r.add(mint.Header("typ", typ))
	default:
		header.fail("typ")
	}
	switch environment, _ := r.reader.number("issuerEnvironment"); environment {
	case 0:
	case 2:
		r.add(mint.Issuer("https://helseid-sts.utvikling.nhn.no"))
	default:
		r.reader.fail("issuerEnvironment " + strconv.FormatInt(environment, 10))
	}
	for name, option := range map[string]mint.TokenOption{
		"setInvalidIssuer": mint.Issuer("https://another-issuer.helseid.test"), "setInvalidAudience": mint.Audience("nhn:another-api"), "signJwtWithInvalidSigningKey": mint.SignedWithUnknownKey(),
	} {
		if r.reader.bool(name) {
			r.add(option)
		}
	}
}
