// Package pki makes TLS clients of a Puppet node's certificate files.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Files are PEM files, as Puppet keeps them under ssldir.
type Files struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
	// CRL may be empty, or not there: then nothing counts as revoked.
	CRL string `json:"crl"`
}

// Client reads the files and makes a configuration that shows the certificate,
// wants TLS 1.2 at least, and takes servers whose certificate the CA has signed
// and not revoked. Call it for every connection: certificates are renewed.
func (f Files) Client() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate of this node: %w", err)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate of the CA: %s has no certificate", f.CA)
	}
	lists, err := readLists(f.CRL)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots,
		VerifyConnection: func(s tls.ConnectionState) error { return lists.check(s.VerifiedChains) },
	}, nil
}

// Certname is the common name of the certificate: who we are to the broker.
func (f Files) Certname() (string, error) {
	cert, err := f.Certificate()
	if err != nil {
		return "", err
	}
	return cert.Subject.CommonName, nil
}

// Certificate reads this node's certificate.
func (f Files) Certificate() (*x509.Certificate, error) {
	text, err := os.ReadFile(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate of this node: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("certificate of this node: %s has no certificate", f.Cert)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate of this node: %w", err)
	}
	return cert, nil
}

// ErrRevoked: the server's certificate is on a revocation list.
var ErrRevoked = errors.New("the server's certificate is revoked")

// lists are revocation lists, one or more of each CA.
type lists []*x509.RevocationList

func readLists(path string) (lists, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	var all lists
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("revocation list %s: %w", path, err)
		}
		all = append(all, list)
	}
	if all == nil {
		return nil, fmt.Errorf("revocation list: %s has none", path)
	}
	return all, nil
}

// check wants one chain without a revoked certificate. Go's own verification
// does not look at revocation.
func (l lists) check(chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if !l.cover(chain) {
			return nil
		}
	}
	return ErrRevoked
}

func (l lists) cover(chain []*x509.Certificate) bool {
	for i := 0; i+1 < len(chain); i++ {
		if l.revoked(chain[i], chain[i+1]) {
			return true
		}
	}
	return false
}

// revoked looks only at lists that the issuer has signed.
func (l lists) revoked(cert, issuer *x509.Certificate) bool {
	for _, list := range l {
		if list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return true
			}
		}
	}
	return false
}
