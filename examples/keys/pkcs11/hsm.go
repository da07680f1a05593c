package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/helseid-go/sdk/clientassertion"
)

// openToken logs in to a token of an HSM. The module is the vendor's PKCS#11 library. A
// wrong PIN counts: most tokens lock themselves after a few, so do not try again.
func openToken(module, label, pin string) (*crypto11.Context, error) {
	hsm, err := crypto11.Configure(&crypto11.Config{
		Path:            module,
		TokenLabel:      label,
		Pin:             pin,
		MaxSessions:     16, // signatures at a time
		PoolWaitTimeout: 10 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("open the token %q: %w", label, err)
	}
	return hsm, nil
}

// findKey returns the client's key. Without an algorithm an RSA key signs with PS256, an
// EC key with the algorithm of its curve. The kid is the key's RFC 7638 thumbprint.
//
// The result is all that [helseid.Config.Key] needs. Keep the token open meanwhile.
func findKey(hsm *crypto11.Context, label, algorithm string) (*clientassertion.Key, error) {
	signers, err := hsm.FindKeyPairs(nil, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("find the key %q: %w", label, err)
	}
	if len(signers) != 1 { // crypto11 finds a private key by its label, and the public key by the CKA_ID of both
		return nil, fmt.Errorf("the token has %d key pairs %q with a CKA_ID and a public key: there must be one", len(signers), label)
	}
	return clientassertion.NewKey(signers[0], clientassertion.KeyOptions{Algorithm: algorithm})
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
