package desk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// certificateLifetime is longer than anybody lets the server run. Apple's systems accept
// 825 days at most.
const certificateLifetime = 820 * 24 * time.Hour

// authorityName is the common name of the authorities.
const authorityName = "helseid-go local test authority"

// newAuthority makes a certificate authority and a certificate of it for loopback and the
// host. The authority's key is forgotten here, and its certificate names the only hosts
// that it is good for (RFC 5280 section 4.2.1.10): who trusts it gives nobody power over
// other hosts.
func newAuthority(host string) (config *tls.Config, authorityPEM []byte, err error) {
	names, addresses := []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	if address, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, net.IP(address.AsSlice()))
	} else {
		names = append(names, host)
	}
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: authorityName}, IsCA: true, MaxPathLenZero: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomainsCritical: true, PermittedDNSDomains: names,
	}
	for _, address := range addresses {
		bits := 8 * len(address)
		authority.PermittedIPRanges = append(authority.PermittedIPRanges, &net.IPNet{IP: address, Mask: net.CIDRMask(bits, bits)})
	}
	authorityKey, authorityDER, err := certify(authority, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	key, der, err := certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: names, IPAddresses: addresses, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, authorityKey)
	if err != nil {
		return nil, nil, err
	}
	config = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der, authorityDER}, PrivateKey: key}},
	}
	return config, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER}), nil
}

// certify signs a certificate with its parent's key, or with its own.
func certify(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (key *ecdsa.PrivateKey, der []byte, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour) // clocks of containers differ
	template.NotAfter = template.NotBefore.Add(certificateLifetime)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	return key, der, err
}
