package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode"
)

// errMembers has no details, since the numbers are secret.
var errMembers = errors.New("the JWK's members do not make a valid private key")

// parsePrivateJWK reads a private key of the user's own. The Go key is made
// here, of numbers that are checked against each other: a library behind this
// reader could see another key in the same text.
func parsePrivateJWK(jwk Object, options KeyOptions) (*Key, error) {
	kty, err := keyType(jwk)
	if err != nil {
		return nil, err
	}
	if jwk.Get("d").Empty() {
		return nil, errors.New("it is a public key: the private JWK with member d is needed")
	}
	if err := checkPurpose(jwk, "sign"); err != nil {
		return nil, err
	}
	if options, err = mergeOptions(jwk, options); err != nil {
		return nil, err
	}
	var signer crypto.Signer
	if kty == "RSA" {
		signer, err = rsaPrivateKey(jwk)
	} else {
		signer, err = ecPrivateKey(jwk)
	}
	if err != nil {
		return nil, err
	}
	return NewKey(signer, options)
}

// mergeOptions takes from the JWK what the caller did not set. Where the caller has set
// an option, the JWK's member is not looked at.
func mergeOptions(jwk Object, options KeyOptions) (KeyOptions, error) {
	alg, kid := jwk.Get("alg"), jwk.Get("kid")
	if options.Algorithm == "" && !alg.Empty() {
		text, ok := alg.Text()
		if !ok {
			return options, errors.New("the JWK member alg is not a string")
		}
		if _, err := Algorithm(text).spec(); err != nil {
			return options, fmt.Errorf("the JWK member alg: %w", err)
		}
		options.Algorithm = Algorithm(text)
	}
	if options.ID == "" && !kid.Empty() {
		text, ok := kid.Text()
		if !ok {
			return options, errors.New("the JWK member kid is not a string")
		}
		options.ID = text
	}
	return options, nil
}

// privateNumber reads a number of a private JWK, or nil if it is not there. The
// spellings of Base64 that tools mix up are all read (padding, the standard
// alphabet, line breaks, zeros in front), since each has one meaning and the
// number is checked against the others.
func privateNumber(jwk Object, name string) (*big.Int, error) {
	value := jwk.Get(name)
	if value.Empty() {
		return nil, nil
	}
	text, ok := value.Text()
	if !ok {
		return nil, fmt.Errorf("the JWK member %s is not a string", name)
	}
	decoded, err := decodeAnyBase64(text)
	if err != nil {
		return nil, fmt.Errorf("the JWK member %s is not base64url", name)
	}
	decoded = bytes.TrimLeft(decoded, "\x00")
	if len(decoded) > maxRSABits/8 {
		return nil, fmt.Errorf("the JWK member %s is too long", name)
	}
	return new(big.Int).SetBytes(decoded), nil
}

func privateNumbers(jwk Object, names ...string) (map[string]*big.Int, error) {
	numbers := make(map[string]*big.Int, len(names))
	for _, name := range names {
		number, err := privateNumber(jwk, name)
		if err != nil {
			return nil, err
		}
		numbers[name] = number
	}
	return numbers, nil
}

func demand(numbers map[string]*big.Int, names ...string) error {
	for _, name := range names {
		if numbers[name] == nil {
			return fmt.Errorf("the JWK member %s is missing or empty", name)
		}
	}
	return nil
}

var anyBase64 = strings.NewReplacer("+", "-", "/", "_")

// decodeAnyBase64 reads both alphabets, with and without padding and white space.
func decodeAnyBase64(text string) ([]byte, error) {
	text = strings.Map(func(char rune) rune {
		if unicode.IsSpace(char) {
			return -1
		}
		return char
	}, text)
	return base64.RawURLEncoding.Strict().DecodeString(anyBase64.Replace(strings.TrimRight(text, "=")))
}

func ecPrivateKey(jwk Object) (*ecdsa.PrivateKey, error) {
	curve, err := curveOf(jwk)
	if err != nil {
		return nil, err
	}
	numbers, err := privateNumbers(jwk, "x", "y", "d")
	if err != nil {
		return nil, err
	}
	if err := demand(numbers, "x", "y"); err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	for _, number := range numbers {
		if number.BitLen() > 8*size {
			return nil, errMembers
		}
	}
	// This refuses zero and what is not below the order of the curve.
	key, err := ecdsa.ParseRawPrivateKey(curve, numbers["d"].FillBytes(make([]byte, size)))
	if err != nil {
		return nil, errMembers
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, errMembers
	}
	stated := append([]byte{4}, numbers["x"].FillBytes(make([]byte, size))...)
	stated = append(stated, numbers["y"].FillBytes(make([]byte, size))...)
	if !bytes.Equal(point, stated) {
		return nil, errMembers
	}
	return key, nil
}

// rsaPrivateKey reads n, e and d, which make a private key (RFC 7518 section
// 6.3.2), and the other members if they are there. Each that is there must fit:
// a wrong one would make signatures that give the key away.
func rsaPrivateKey(jwk Object) (*rsa.PrivateKey, error) {
	if !jwk.Get("oth").Empty() {
		return nil, errors.New("the JWK has more than two primes (member oth): generate an RSA key with two")
	}
	numbers, err := privateNumbers(jwk, "n", "e", "d", "p", "q", "dp", "dq", "qi")
	if err != nil {
		return nil, err
	}
	if err := demand(numbers, "n", "e"); err != nil {
		return nil, err
	}
	public := rsa.PublicKey{N: numbers["n"]}
	if numbers["e"].BitLen() <= 31 {
		public.E = int(numbers["e"].Int64())
	}
	if err := checkStrength(&public); err != nil {
		return nil, err
	}
	key, err := assembleRSA(public, numbers["d"], numbers["p"], numbers["q"])
	if err != nil {
		return nil, err
	}
	p, q := key.Primes[0], key.Primes[1]
	for name, right := range map[string]*big.Int{
		"dp": new(big.Int).Mod(key.D, lessOne(p)),
		"dq": new(big.Int).Mod(key.D, lessOne(q)),
		"qi": new(big.Int).ModInverse(q, p),
	} {
		// Without both primes the JWK does not say which of them is p.
		stated := numbers[name]
		if stated != nil && (numbers["p"] == nil || numbers["q"] == nil || right == nil || stated.Cmp(right) != 0) {
			return nil, errMembers
		}
	}
	return key, nil
}

// assembleRSA makes the key of n, e and d, and of its primes as far as they are
// known. What can be derived is derived, whatever the JWK says.
func assembleRSA(public rsa.PublicKey, d, p, q *big.Int) (*rsa.PrivateKey, error) {
	if d.Sign() <= 0 || d.Cmp(public.N) >= 0 {
		return nil, errMembers
	}
	if p == nil {
		p, q = q, nil
	}
	if p == nil {
		p = factor(public.N, big.NewInt(int64(public.E)), d)
	}
	if p == nil || p.Cmp(big.NewInt(1)) <= 0 {
		return nil, errMembers
	}
	if q == nil {
		q = new(big.Int).Div(public.N, p)
	}
	if q.Cmp(big.NewInt(1)) <= 0 || new(big.Int).Mul(p, q).Cmp(public.N) != 0 {
		return nil, errMembers
	}
	key := &rsa.PrivateKey{PublicKey: public, D: d, Primes: []*big.Int{p, q}}
	if key.Validate() != nil {
		return nil, errMembers
	}
	key.Precompute()
	return key, nil
}

// factor finds a prime of n from the two exponents (NIST SP 800-56B revision 2,
// appendix C.1), or nil if they do not belong together. It runs once per key, when
// the key is loaded, and not in constant time.
func factor(n, e, d *big.Int) *big.Int {
	one, last := big.NewInt(1), lessOne(n)
	k := lessOne(new(big.Int).Mul(e, d))
	halvings := k.TrailingZeroBits()
	if k.Sign() <= 0 || halvings == 0 {
		return nil
	}
	odd := new(big.Int).Rsh(k, halvings)
	// Each base succeeds with a probability of one half or more.
	for base := int64(2); base < 60; base++ {
		root := new(big.Int).Exp(big.NewInt(base), odd, n)
		for range halvings {
			if root.Cmp(one) == 0 || root.Cmp(last) == 0 {
				break
			}
			square := new(big.Int).Mul(root, root)
			square.Mod(square, n)
			if square.Cmp(one) == 0 {
				return new(big.Int).GCD(nil, nil, lessOne(root), n)
			}
			root = square
		}
		if root.Cmp(one) != 0 && root.Cmp(last) != 0 {
			return nil // base to the power of e·d is not base
		}
	}
	return nil
}

func lessOne(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) }
