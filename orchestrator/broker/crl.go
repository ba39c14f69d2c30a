package broker

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// revocations are the certificates that were revoked, as files say. The
// listener checks them in the handshake; a broker's connections last for
// months, so it has to look again.
type revocations struct {
	crl, ca string // paths

	mu      sync.RWMutex // guards all below
	revoked map[string]bool
	stamps  [2]string
}

func openRevocations(crl, ca string) (*revocations, error) {
	r := &revocations{crl: crl, ca: ca}
	return r, r.load()
}

// stale tells whether the files have changed since they were read.
func (r *revocations) stale() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.stamps != r.stamp()
}

func (r *revocations) stamp() (stamps [2]string) {
	for i, path := range [...]string{r.crl, r.ca} {
		if fi, err := os.Stat(path); err == nil {
			stamps[i] = fmt.Sprint(fi.ModTime().UnixNano(), fi.Size())
		}
	}
	return stamps
}

// load reads the files. A change that cannot be read is told once, not at each look.
func (r *revocations) load() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamps = r.stamp()
	revoked, err := readRevocations(r.crl, r.ca)
	if err == nil {
		r.revoked = revoked
	}
	return err
}

func key(issuer []byte, serial fmt.Stringer) string { return string(issuer) + "\x00" + serial.String() }

// cover tells whether every chain has a certificate that was revoked. No chains:
// there is nothing to revoke.
func (r *revocations) cover(chains [][]*x509.Certificate) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(chains) > 0 && !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return r.revoked[key(c.RawIssuer, c.SerialNumber)] })
	})
}

// readRevocations reads revocation lists, each signed by one of the CAs.
func readRevocations(crl, ca string) (map[string]bool, error) {
	authorities, err := readCertificates(ca)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(crl)
	if err != nil {
		return nil, fmt.Errorf("broker: revocation list: %w", err)
	}
	revoked, lists := map[string]bool{}, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("broker: revocation list %s: %w", crl, err)
		}
		if !slices.ContainsFunc(authorities, func(ca *x509.Certificate) bool { return list.CheckSignatureFrom(ca) == nil }) {
			return nil, fmt.Errorf("broker: revocation list %s: the list of %s is not signed by a certificate of %s", crl, list.Issuer, ca)
		}
		for _, e := range list.RevokedCertificateEntries {
			revoked[key(list.RawIssuer, e.SerialNumber)] = true
		}
		lists++
	}
	if lists == 0 {
		return nil, fmt.Errorf("broker: %s holds no revocation list", crl)
	}
	return revoked, nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("broker: CA of the revocation list: %w", err)
	}
	var all []*x509.Certificate
	var errs []error
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			all, errs = append(all, c), append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("broker: %s: %w", path, err)
	}
	return all, nil
}
