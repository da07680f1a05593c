package main

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// softHSM is a token that exists for this demonstration only.
type softHSM struct {
	module, label, pin string
	keys               []string // the labels of its key pairs
	remove             func()
}

var errNoSoftHSM = errors.New("SoftHSM is missing: install it (apt-get install softhsm2), or name the library of another HSM with -module")

// startSoftHSM makes a token with an RSA-3072 and a P-256 key, which are made inside.
func startSoftHSM(ctx context.Context) (*softHSM, error) {
	module := softHSMModule()
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil || module == "" {
		return nil, errNoSoftHSM
	}
	folder, err := os.MkdirTemp("", "softhsm-")
	if err != nil {
		return nil, err
	}
	before, had := os.LookupEnv("SOFTHSM2_CONF")
	token := &softHSM{
		module: module, label: "helseid-demo", pin: rand.Text(), keys: []string{"client-rsa", "client-ec"},
		remove: func() {
			_ = os.RemoveAll(folder)
			if _ = os.Unsetenv("SOFTHSM2_CONF"); had {
				_ = os.Setenv("SOFTHSM2_CONF", before)
			}
		},
	}
	if err := token.fill(ctx, tool, folder); err != nil {
		token.remove()
		return nil, err
	}
	return token, nil
}

// fill makes the token and its keys. An HSM's administrator does so once. The token's PIN
// is on a command line here, which is not the place for one that lasts.
func (s *softHSM) fill(ctx context.Context, tool, folder string) error {
	configFile := filepath.Join(folder, "softhsm2.conf")
	config := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", folder)
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("SOFTHSM2_CONF", configFile); err != nil { // the module reads it, too
		return err
	}
	if err := exec.CommandContext(ctx, tool, "--init-token", "--free", "--label", s.label, "--pin", s.pin, "--so-pin", rand.Text()).Run(); err != nil {
		return fmt.Errorf("softhsm2-util: %w", err)
	}
	hsm, err := openToken(s.module, s.label, s.pin)
	if err != nil {
		return err
	}
	_, rsaErr := hsm.GenerateRSAKeyPairWithLabel([]byte{1}, []byte(s.keys[0]), 3072)
	_, ecErr := hsm.GenerateECDSAKeyPairWithLabel([]byte{2}, []byte(s.keys[1]), elliptic.P256())
	return errors.Join(rsaErr, ecErr, hsm.Close())
}

// softHSMModule returns SoftHSM's PKCS#11 library, or "".
func softHSMModule() string {
	for _, pattern := range []string{
		"/usr/lib/softhsm/libsofthsm2.so",    // Debian
		"/usr/lib/*/softhsm/libsofthsm2.so",  // for several architectures
		"/usr/lib64/softhsm/libsofthsm2.so",  // Fedora
		"/opt/homebrew/lib/softhsm/*hsm2.so", // macOS
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
