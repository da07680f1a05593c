package inspect

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/keytext"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
)

// advisedRSABits is the size below which a key is worth replacing.
const advisedRSABits = 3072

func inspectJWK(text string) *report {
	r := &report{kind: kindJWK}
	r.keeps("key_json")
	jwk, err := jose.ParseObject([]byte(text))
	if err != nil {
		r.breaks("key_json", err.Error())
		return r
	}
	if !jwk.Has("kty") {
		r.breaks("key_members", "kty is missing: names are case-sensitive")
		return r
	}
	r.checkKey(jwk, "key")
	return r
}

// descriptive are the members of a JWK that only describe the key.
var descriptive = []string{"use", "key_ops", "alg", "kid"}

// checkKey judges a JWK, with rules named after the prefix. A private one is judged as a
// client's, a public one as one that verifies. The readers stop at the first fault, so each
// member that describes the key is judged with the key alone.
func (r *report) checkKey(jwk jose.Object, prefix string) {
	read := func(jwk members) (*keytext.Key, error) { return keytext.Read(jwk.json()) }
	material := members{}.taking(jwk, without(jwk.Names(), descriptive...)...)
	r.keeps(prefix+"_members", prefix+"_use", prefix+"_alg", prefix+"_kid")
	key, err := read(material)
	if err != nil {
		r.breaks(prefix+"_members", keyError(err))
		r.unchecked(prefix+"_alg", "there is no key that it could fit")
		material = lookAlike(jwk)
	}
	for _, name := range descriptive {
		if name == "alg" && err != nil {
			continue
		}
		described, problem := read(material.taking(jwk, name))
		rule := prefix + "_" + strings.Replace(name, "key_ops", "use", 1)
		if problem != nil {
			r.breaks(rule, keyError(problem))
		}
		if name == "alg" && problem == nil {
			key = described
		}
	}
	kid, isText := jwk.Get("kid").Text()
	if !jwk.Get("kid").Empty() && !isText {
		r.breaks(prefix+"_kid", "kid must be a text")
	}
	if err != nil {
		return
	}
	r.showKey(prefix, key, kid)
}

// lookAlike is a good key with which members that describe one can be judged.
func lookAlike(jwk jose.Object) members {
	key, err := jose.GenerateKey()
	if err != nil {
		return members{}
	}
	text := []byte(key.Public().JWK())
	if jose.HasPrivateMember(jwk) {
		if text, err = key.MarshalPrivateJWK(); err != nil {
			return members{}
		}
	}
	object, err := jose.ParseObject(text)
	if err != nil {
		return members{}
	}
	return members{}.taking(object, without(object.Names(), descriptive...)...)
}

// showKey shows the public half only.
func (r *report) showKey(name string, key *keytext.Key, kid string) {
	if kid != "" {
		key.ID = kid
	}
	r.show(name+", its public half", key.JWK())
	half := "public"
	if key.Private {
		half = "private: keep it secret"
	}
	r.hint("%s is %s, thumbprint %s; it is %s", name, keytext.Strength(key.Public), key.Public.Thumbprint(), half)
	if kid == "" {
		r.hint("it has no kid: the SDK takes the thumbprint, and the key must be registered with HelseID under that")
	}
	if public, ok := key.Public.CryptoKey().(*rsa.PublicKey); ok && public.N.BitLen() < advisedRSABits {
		r.hint("HelseID takes RSA keys of 2048 bits, and issues such of 4096: helseid key new makes one")
	}
}

// keyError is an error about a key without the words that all of them have.
func keyError(err error) string {
	return strings.TrimPrefix(err.Error(), jose.ErrKey.Error()+": ")
}

func inspectPEM(text string) *report {
	r := &report{kind: kindPEM}
	r.keeps("key_members")
	key, err := keytext.Read([]byte(text))
	if err != nil {
		r.breaks("key_members", keyError(err))
		return r
	}
	r.showKey("key", key, key.ID)
	r.hint("PEM tells neither kid nor alg: the kid shown is the thumbprint")
	return r
}

// inspectKeySet judges each key of a set: a public one as the SDK reads the key set of an
// issuer, a private one as a client's.
func inspectKeySet(ctx context.Context, text string) (*report, error) {
	r := &report{kind: kindJWKS}
	r.keeps("jwks_json", "jwks_keys")
	set, err := jose.ParseObject([]byte(text))
	if err != nil {
		r.breaks("jwks_json", err.Error())
		return r, nil
	}
	keys, ok := set.Get("keys").Array()
	if !ok || len(keys) == 0 {
		r.breaks("jwks_keys", "keys must be a list of some")
		return r, nil
	}
	const most = 100
	if len(keys) > most {
		r.breaks("jwks_keys", fmt.Sprintf("there are %d keys, and the first %d are judged", len(keys), most))
		keys = keys[:most]
	}
	seen, private := map[string]int{}, 0
	for i, value := range keys {
		name := "keys[" + strconv.Itoa(i) + "]"
		jwk, ok := value.Object()
		if !ok {
			r.breaks(name, "it is no object")
			continue
		}
		if jose.HasPrivateMember(jwk) {
			private++
		}
		if err := r.checkKeyOfSet(ctx, name, jwk, value.Raw()); err != nil {
			return nil, err
		}
		kid, _ := jwk.Get("kid").Text()
		seen[kid]++
	}
	for _, kid := range slices.Sorted(maps.Keys(seen)) {
		if kid != "" && seen[kid] > 1 {
			r.hint("%d keys have the kid %s", seen[kid], named(kid))
		}
	}
	if private > 0 {
		r.hint("%d of the keys are private: this file is a secret, and must not be published", private)
	}
	return r, nil
}

func (r *report) checkKeyOfSet(ctx context.Context, name string, jwk jose.Object, raw string) error {
	r.keeps(name)
	if jose.HasPrivateMember(jwk) {
		key, err := keytext.Read([]byte(raw))
		if err != nil {
			r.breaks(name, keyError(err))
			return nil
		}
		r.show(name+", its public half", key.JWK())
		return nil
	}
	kid, _ := jwk.Get("kid").Text()
	switch key, err := keytext.OfPublicJWK(jwk); {
	case kid == "":
		r.breaks(name, "it has no kid: no token can name it")
		return nil
	case err != nil:
		r.breaks(name, keyError(err))
		return nil
	default:
		r.show(name, key.JWK())
	}
	usable, err := readAsIssuers(ctx, kid, raw)
	if !usable && err == nil {
		r.breaks(name, "no reader of the issuer's keys takes it")
	}
	return err
}

// readAsIssuers asks the reader of issuers' key sets whether it takes a key.
func readAsIssuers(ctx context.Context, kid, jwk string) (bool, error) {
	client := &http.Client{Transport: &publishing{lab{issuer: somewhere}, `{"keys":[` + jwk + `]}`}}
	keys := jwks.New(metadata.NewSource(somewhere, client, "jwks_uri"), client)
	defer keys.Close()
	_, _, err := keys.Keys(ctx, kid)
	if errors.Is(err, context.Canceled) {
		return false, err
	}
	return err == nil, nil
}

// publishing is a lab with another key set.
type publishing struct {
	lab
	set string
}

// RoundTrip implements http.RoundTripper.
func (p *publishing) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.String() == p.issuer+keysPath {
		return answer(request, []byte(p.set)), nil
	}
	return p.lab.RoundTrip(request)
}
