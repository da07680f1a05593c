package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// makeP12 makes a file with an RSA-3072 key, and a file with its password.
func makeP12(folder string) (file, passwordFile string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return "", "", err
	}
	password := rand.Text()
	data, err := encodeP12(pkcs12.Modern2023, key, password)
	if err != nil {
		return "", "", err
	}
	file, passwordFile = filepath.Join(folder, "client.p12"), filepath.Join(folder, "password")
	return file, passwordFile, errors.Join(os.WriteFile(file, data, 0o600), os.WriteFile(passwordFile, []byte(password+"\n"), 0o600))
}

// encodeP12 puts a key into a file, with a certificate that it has signed itself.
func encodeP12(encoder *pkcs12.Encoder, key crypto.Signer, password string) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "demo client"},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return encoder.Encode(key, certificate, nil, password)
}
