package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
)

// configScenarios are mistakes that machine must notice before it sends anything to anybody.
func configScenarios() []scenario {
	mistakes := []struct {
		name  string
		flags func(*bench) (flags, error)
	}{
		{"no such file", func(b *bench) (flags, error) {
			return flags{"config": filepath.Join(b.lab.dir, "missing.json")}, nil
		}},
		{"broken JSON", func(b *bench) (flags, error) {
			file, err := b.lab.writeFile([]byte(`{"clientId": "` + b.client.ClientID + `",`))
			return flags{"config": file}, err
		}},
		{"no key", func(b *bench) (flags, error) {
			config := newConfigFile(b.client)
			config.PrivateJWK = ""
			file, err := b.lab.writeConfig(config)
			return flags{"config": file}, err
		}},
		{"EC key with an RSA algorithm", func(b *bench) (flags, error) {
			jwk := maps.Clone(b.auth.state.Clients["ES384"].PrivateJWK)
			jwk["alg"] = "RS256"
			return withKey(b, jwk)
		}},
		{"RSA key of 1024 bits", func(b *bench) (flags, error) {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			if err != nil {
				return nil, err
			}
			return withKey(b, rsaJWK(key))
		}},
		{"issuer with plain http that is not loopback", func(*bench) (flags, error) {
			return flags{"issuer": "http://example.com"}, nil
		}},
	}

	var all []scenario
	for _, m := range mistakes {
		all = append(all, scenario{
			name: "configuration: " + m.name,
			run: func(ctx context.Context, l *lab) (string, error) {
				b, err := l.bench(ctx, setup{})
				if err != nil {
					return "", err
				}
				changes, err := m.flags(b)
				if err != nil {
					return "", err
				}
				return refusedUnsent(ctx, b, changes)
			},
		})
	}
	return all
}

func refusedUnsent(ctx context.Context, b *bench, changes flags) (string, error) {
	result, err := b.run(ctx, changes)
	if err != nil {
		return "", err
	}
	auth, api, err := b.stats(ctx, b.flags["scope"])
	if err := errors.Join(result.failed(2), err); err != nil {
		return "", err
	}
	if auth.Requests > 0 || api.Requests > 0 {
		return "", fmt.Errorf("%d requests at the authorization server, %d at the API", auth.Requests, api.Requests)
	}
	return result.complaint(), nil
}

// withKey gives the client another key, whose parts must not be printed either.
func withKey(b *bench, jwk map[string]any) (flags, error) {
	b.client.PrivateJWK = jwk
	file, err := b.lab.writeConfig(newConfigFile(b.client))
	return flags{"config": file}, err
}

func rsaJWK(key *rsa.PrivateKey) map[string]any {
	encode := func(n *big.Int) string {
		return base64.RawURLEncoding.EncodeToString(n.Bytes())
	}
	return map[string]any{
		"kty": "RSA",
		"alg": "RS256",
		"n":   encode(key.N),
		"e":   encode(big.NewInt(int64(key.E))),
		"d":   encode(key.D),
		"p":   encode(key.Primes[0]),
		"q":   encode(key.Primes[1]),
		"dp":  encode(key.Precomputed.Dp),
		"dq":  encode(key.Precomputed.Dq),
		"qi":  encode(key.Precomputed.Qinv),
	}
}
