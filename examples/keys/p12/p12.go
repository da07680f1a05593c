package main

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/helseid-go/sdk/clientassertion"
)

const maxP12 = 1 << 20 // bytes

// readP12 returns the client's key from a PKCS#12 file. Without an algorithm an RSA key
// signs with PS256, an EC key with the algorithm of its curve. The kid is the key's RFC
// 7638 thumbprint.
//
// The result is all that [helseid.Config.Key] needs. The certificate in the file is not
// used: HelseID knows the client by its public key, which has to be registered.
func readP12(path, password, algorithm string) (*clientassertion.Key, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	private, _, _, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T does not sign", path, private)
	}
	return clientassertion.NewKey(signer, clientassertion.KeyOptions{Algorithm: algorithm})
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxP12+1))
	if err == nil && len(data) > maxP12 {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// readSecret reads a secret from a file, or from standard input for "-". It is no flag's
// value, which everybody on the machine could read.
func readSecret(path string, stdin io.Reader) (string, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		stdin = file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, 4<<10))
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 {
		return "", errors.New("it is empty")
	}
	return string(text), nil
}
