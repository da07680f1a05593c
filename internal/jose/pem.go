package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

const pemBegin = "-----BEGIN "

// What a key file holds when it is not a key that can be read, and the command
// that makes one of it.
var (
	errEncrypted = errors.New("the key is encrypted: decrypt it first, with openssl pkey -in key.pem -out plain.pem")
	errPKCS12    = errors.New("it is a PKCS#12 file: take the key out of it, with openssl pkcs12 -in file.p12 -nocerts -nodes -out key.pem")
	errOpenSSH   = errors.New("it is an OpenSSH key: convert a copy of it, with ssh-keygen -p -N \"\" -m PKCS8 -f copy")
	errPuTTY     = errors.New("it is a PuTTY key: convert it, with puttygen key.ppk -O private-openssh-new -o copy, then ssh-keygen -p -N \"\" -m PKCS8 -f copy")
	errKeyStore  = errors.New("it is a Java key store: convert it, with keytool -importkeystore -srckeystore file.jks -destkeystore file.p12 -deststoretype pkcs12, then openssl pkcs12 -in file.p12 -nocerts -nodes -out key.pem")
	errXML       = errors.New("it is XML, such as .NET's RSAKeyValue: write the key as PEM, with RSA.FromXmlString and ExportPkcs8PrivateKeyPem")
	errPublic    = errors.New("it is a public key: the private key that belongs to it is needed")
	errPGP       = errors.New("it is a PGP key: generate an RSA or EC key, with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem")
	errPSSOnly   = errors.New("it is an RSASSA-PSS key: generate an ordinary RSA key, which signs with PS256 too, with openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem")
	errJWE       = errors.New("it is an encrypted or signed JOSE object: decrypt it first, the JWK itself is needed")
	errMultiRSA  = errors.New("the RSA key has more than two primes: generate one with two")
	errTwoKeys   = errors.New("the PEM text holds more than one private key")
)

// parsePEM finds the one private key among the blocks. The blocks are taken apart
// here, because the texts that arrive have often lost their line ends.
func parsePEM(text string) (crypto.Signer, error) {
	text = literalLineEnds(text)
	var signer crypto.Signer
	others := map[string]bool{}
	for {
		_, rest, more := strings.Cut(text, pemBegin)
		if !more {
			break
		}
		label, body, after, err := pemBlock(rest)
		if err != nil {
			return nil, err
		}
		text = after
		if !isPrivateLabel(label) {
			others[label] = true
			continue
		}
		found, err := pemSigner(label, body)
		if err != nil {
			return nil, err
		}
		if signer != nil {
			return nil, errTwoKeys
		}
		signer = found
	}
	if signer == nil {
		return nil, noPrivateBlock(others)
	}
	return signer, nil
}

// pemBlock takes a block apart, from its label on (RFC 7468 section 3).
func pemBlock(text string) (label, body, after string, err error) {
	errCut := errors.New("the PEM text is damaged: a block has no end, or another one than its beginning says")
	label, text, ok := strings.Cut(text, "-----")
	if !ok {
		return "", "", "", errCut
	}
	body, after, ok = strings.Cut(text, "-----END "+label+"-----")
	if !ok || strings.Contains(body, "-----") {
		return "", "", "", errCut
	}
	return label, body, after, nil
}

func isPrivateLabel(label string) bool {
	return label == "PRIVATE KEY" || strings.HasSuffix(label, " PRIVATE KEY")
}

// pemSigner goes by what is in the block: labels are often wrong, and PKCS#1,
// PKCS#8 and SEC1 cannot be taken for each other.
func pemSigner(label, body string) (crypto.Signer, error) {
	switch {
	case label == "ENCRYPTED PRIVATE KEY" || strings.Contains(body, "ENCRYPTED"):
		return nil, errEncrypted
	case label == "OPENSSH PRIVATE KEY":
		return nil, errOpenSSH
	}
	der, err := decodeAnyBase64(withoutHeaders(body))
	if err != nil || !isDER(der) {
		return nil, errors.New("the PEM block of the private key is damaged")
	}
	return parseDER(der)
}

// withoutHeaders leaves out the header lines that old tools write.
func withoutHeaders(body string) string {
	if !strings.Contains(body, ":") {
		return body
	}
	var lines strings.Builder
	for _, line := range strings.FieldsFunc(body, func(char rune) bool { return char == '\n' || char == '\r' }) {
		if !strings.Contains(line, ":") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func noPrivateBlock(labels map[string]bool) error {
	for label := range labels {
		if strings.Contains(label, "PGP") {
			return errPGP
		}
	}
	switch {
	case labels["CERTIFICATE"] || labels["X509 CERTIFICATE"] || labels["TRUSTED CERTIFICATE"]:
		return errors.New("the PEM text holds a certificate, but the private key that belongs to it is needed")
	case labels["PUBLIC KEY"] || labels["RSA PUBLIC KEY"] || labels["EC PUBLIC KEY"]:
		return errPublic
	case labels["CERTIFICATE REQUEST"] || labels["NEW CERTIFICATE REQUEST"]:
		return errors.New("the PEM text holds a certificate request, but the private key that belongs to it is needed")
	case labels["PKCS7"] || labels["CMS"]:
		return errors.New("the PEM text holds certificates (PKCS#7), but the private key that belongs to them is needed")
	case labels["DH PARAMETERS"] || labels["EC PARAMETERS"]:
		return errors.New("the PEM text holds parameters, but no private key")
	}
	return errors.New("the PEM text holds no private key: a block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY is needed")
}

// isDER reports whether the data is one ASN.1 sequence, but for line ends behind it.
func isDER(data []byte) bool {
	if len(data) < 4 || data[0] != 0x30 {
		return false
	}
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(data, &sequence)
	return err == nil && strings.Trim(string(rest), "\r\n") == ""
}

// parseDER reads PKCS#8, PKCS#1 or SEC1, whichever it is.
func parseDER(der []byte) (crypto.Signer, error) {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(der, &sequence)
	if err != nil {
		return nil, errForm
	}
	der = der[:len(der)-len(rest)]
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return softwareSigner(key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return softwareSigner(key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return softwareSigner(key)
	}
	return nil, foreignDER(der)
}

// softwareSigner takes nothing over that can be derived.
func softwareSigner(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if len(key.Primes) != 2 {
			return nil, errMultiRSA
		}
		public := rsa.PublicKey{N: key.N, E: key.E}
		if err := checkStrength(&public); err != nil {
			return nil, err
		}
		signer, err := assembleRSA(public, key.D, key.Primes[0], key.Primes[1])
		if err != nil {
			return nil, errors.New("the numbers of the RSA key do not belong together")
		}
		return signer, nil
	}
	return nil, errKeyType
}

var (
	oidRSAPSS      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidRSA         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC          = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidPKCS5       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5}
	oidPKCS12      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12}
	oidPKCS7Data   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidPKCS7Signed = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// foreignDER says what a document is that holds no key we can use.
func foreignDER(der []byte) error {
	var encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if fits(der, &encrypted) && (within(encrypted.Algorithm.Algorithm, oidPKCS5) || within(encrypted.Algorithm.Algorithm, oidPKCS12)) {
		return errEncrypted
	}
	var store struct {
		Version  int
		AuthSafe struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"optional"`
		}
		MAC asn1.RawValue `asn1:"optional"`
	}
	if fits(der, &store) && store.Version == 3 && (store.AuthSafe.Type.Equal(oidPKCS7Data) || store.AuthSafe.Type.Equal(oidPKCS7Signed)) {
		return errPKCS12
	}
	var private struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
	}
	if fits(der, &private) {
		switch algorithm := private.Algorithm.Algorithm; {
		case algorithm.Equal(oidRSAPSS):
			return errPSSOnly
		case algorithm.Equal(oidEC):
			return fmt.Errorf("%w or a damaged key: use P-256, P-384 or P-521", errCurve)
		case algorithm.Equal(oidRSA):
			return errors.New("the RSA private key is damaged")
		}
		return errKeyType
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return errPublic
	}
	if _, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return errPublic
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		return errors.New("it is a certificate, but the private key that belongs to it is needed")
	}
	return errors.New("it is DER, but no private key in PKCS#8, PKCS#1 or SEC1, or a damaged one")
}

func fits(der []byte, into any) bool {
	_, err := asn1.Unmarshal(der, into)
	return err == nil
}

func within(oid, arc asn1.ObjectIdentifier) bool {
	return len(oid) > len(arc) && oid[:len(arc)].Equal(arc)
}

// foreignForm says what a text is that holds no key we can use.
func foreignForm(text string) error {
	for start, err := range map[string]error{
		"PuTTY-User-Key-File": errPuTTY,
		"---- BEGIN SSH2":     errPublic,
		"ssh-":                errPublic,
		"ecdsa-sha2-":         errPublic,
		"<":                   errXML,
		"[":                   errors.New("it is a JSON array: give the JWK itself, a JSON object"),
	} {
		if strings.HasPrefix(text, start) {
			return err
		}
	}
	if dots := strings.Count(text, "."); strings.HasPrefix(text, "ey") && (dots == 2 || dots == 4) {
		return errJWE
	}
	for _, ending := range []string{".pem", ".json", ".jwk", ".key", ".p12", ".pfx"} {
		if strings.HasSuffix(text, ending) && !strings.Contains(text, "\n") {
			return fmt.Errorf("%w: if it is the name of a file, read the file first", errForm)
		}
	}
	return errForm
}
