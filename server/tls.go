package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// TLSConfig is the TLS listener, in jetty.ini's terms (spec commands.md §7.7).
type TLSConfig struct {
	Listen string // ssl-host:ssl-port; empty: no TLS
	Cert   string // PEM, may hold the chain
	Key    string // PEM
	CA     string // PEM, one or more; who may sign client certificates
	CRL    string // PEM, one or more; optional
	// ClientAuth is need (the default), want (a certificate is optional, but a
	// bad one is refused) or none.
	ClientAuth string
	// Protocols are TLSv1.2 and TLSv1.3; empty: both.
	Protocols []string
	// Ciphers are IANA names for TLS 1.2; empty: ECDHE with AES-GCM or ChaCha20.
	// Those of TLS 1.3 cannot be chosen and are ignored.
	Ciphers []string
}

// recheck is how often the files are looked at for changes, at most.
const recheck = 10 * time.Second

// tlsState is the TLS configuration made of the files. When a file changes it
// is made anew for new connections; a broken change keeps the old one, loudly.
type tlsState struct {
	cfg       TLSConfig
	strangers *strangers
	now       func() time.Time
	logger    *slog.Logger

	mu      sync.Mutex // guards all below
	current *tls.Config
	stamps  map[string]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func newTLSState(cfg TLSConfig, s *strangers, now func() time.Time, logger *slog.Logger) (*tlsState, error) {
	t := &tlsState{cfg: cfg, strangers: s, now: now, logger: logger}
	t.stamps = t.stamp()
	t.checked = now()
	var err error
	t.current, err = cfg.load(now)
	return t, err
}

// listener wraps a TCP listener.
func (t *tlsState) listener(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if err := t.strangers.greet(hello); err != nil {
				return nil, err
			}
			return t.config(), nil
		},
	})
}

// config is the configuration for a new connection.
func (t *tlsState) config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.checked) < recheck {
		return t.current
	}
	t.checked = now
	stamps := t.stamp()
	if equalStamps(stamps, t.stamps) {
		return t.current
	}
	t.stamps = stamps
	fresh, err := t.cfg.load(t.now)
	if err != nil {
		t.logger.Error("TLS files changed but cannot be used; keeping the old ones", "error", err)
		return t.current
	}
	t.logger.Info("TLS files changed; using the new ones")
	t.current = fresh
	return fresh
}

func (t *tlsState) stamp() map[string]fileStamp {
	stamps := map[string]fileStamp{}
	for _, path := range []string{t.cfg.Cert, t.cfg.Key, t.cfg.CA, t.cfg.CRL} {
		if fi, err := os.Stat(path); err == nil {
			stamps[path] = fileStamp{fi.ModTime(), fi.Size()}
		}
	}
	return stamps
}

func equalStamps(a, b map[string]fileStamp) bool {
	if len(a) != len(b) {
		return false
	}
	for path, s := range a {
		if o, ok := b[path]; !ok || !o.modified.Equal(s.modified) || o.size != s.size {
			return false
		}
	}
	return true
}

// load reads the files. The error is all that is wrong.
func (c TLSConfig) load(now func() time.Time) (*tls.Config, error) {
	conf := &tls.Config{NextProtos: []string{"http/1.1"}, Time: now}
	var errs [3]error
	conf.Certificates, errs[0] = c.keyPair()
	conf.MinVersion, conf.MaxVersion, errs[1] = versions(c.Protocols)
	conf.CipherSuites, errs[2] = ciphers(c.Ciphers)
	err := errors.Join(append(errs[:], c.clientAuth(conf))...)
	if err != nil {
		return nil, err
	}
	return conf, nil
}

// keyPair reads the server's own certificate.
func (c TLSConfig) keyPair() ([]tls.Certificate, error) {
	if c.Cert == "" || c.Key == "" {
		return nil, errors.New("server: TLS needs ssl-cert and ssl-key")
	}
	cert, certErr := os.ReadFile(c.Cert)
	key, keyErr := os.ReadFile(c.Key)
	if certErr != nil {
		certErr = fmt.Errorf("server: ssl-cert: %w", certErr)
	}
	if keyErr != nil {
		keyErr = fmt.Errorf("server: ssl-key: %w", keyErr)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("server: ssl-cert %s, ssl-key %s: %w", c.Cert, c.Key, err)
	}
	return []tls.Certificate{pair}, nil
}

// clientAuth sets whether clients need certificates, and whose.
func (c TLSConfig) clientAuth(conf *tls.Config) error {
	switch c.ClientAuth {
	case "", "need":
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	case "want":
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	case "none":
		conf.ClientAuth = tls.NoClientCert
		return nil
	default:
		return fmt.Errorf("server: client-auth is need, want or none, not %q", c.ClientAuth)
	}
	if c.CA == "" {
		return errors.New("server: TLS with client certificates needs ssl-ca-cert")
	}
	return c.clientTrust(conf)
}

// clientTrust sets who may sign client certificates, and what was revoked.
func (c TLSConfig) clientTrust(conf *tls.Config) error {
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return fmt.Errorf("server: ssl-ca-cert: %w", err)
	}
	conf.ClientCAs = x509.NewCertPool()
	var cas []*x509.Certificate
	for _, block := range pemBlocks(text, "CERTIFICATE") {
		ca, err := x509.ParseCertificate(block)
		if err != nil {
			return fmt.Errorf("server: ssl-ca-cert %s: %w", c.CA, err)
		}
		cas = append(cas, ca)
		conf.ClientCAs.AddCert(ca)
	}
	if cas == nil {
		return fmt.Errorf("server: ssl-ca-cert %s holds no certificate", c.CA)
	}
	if c.CRL == "" {
		return nil
	}
	revoked, err := readCRL(c.CRL, cas)
	if err != nil {
		return err
	}
	// Also called for resumed sessions, unlike VerifyPeerCertificate.
	conf.VerifyConnection = revoked.check
	return nil
}

func pemBlocks(text []byte, kind string) [][]byte {
	var blocks [][]byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return blocks
		}
		if block.Type == kind {
			blocks = append(blocks, block.Bytes)
		}
	}
}

// revocations maps issuer and serial number of revoked certificates.
type revocations map[string]bool

func revocationKey(issuer []byte, serial string) string { return string(issuer) + "\x00" + serial }

// readCRL reads revocation lists. Each must be signed by one of the CAs.
func readCRL(path string, cas []*x509.Certificate) (revocations, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("server: ssl-crl-path: %w", err)
	}
	revoked := revocations{}
	lists := pemBlocks(text, "X509 CRL")
	if lists == nil {
		return nil, fmt.Errorf("server: ssl-crl-path %s holds no revocation list", path)
	}
	for _, block := range lists {
		list, err := x509.ParseRevocationList(block)
		if err != nil {
			return nil, fmt.Errorf("server: ssl-crl-path %s: %w", path, err)
		}
		signed := slices.ContainsFunc(cas, func(ca *x509.Certificate) bool {
			return list.CheckSignatureFrom(ca) == nil
		})
		if !signed {
			return nil, fmt.Errorf("server: ssl-crl-path %s: the list of %s is not signed by a certificate of ssl-ca-cert",
				path, list.Issuer)
		}
		for _, e := range list.RevokedCertificateEntries {
			revoked[revocationKey(list.RawIssuer, e.SerialNumber.String())] = true
		}
	}
	return revoked, nil
}

// check refuses a connection unless one of its chains is free of revoked
// certificates.
func (revoked revocations) check(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	for _, chain := range cs.VerifiedChains {
		bad := slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			return revoked[revocationKey(c.RawIssuer, c.SerialNumber.String())]
		})
		if !bad {
			return nil
		}
	}
	return fmt.Errorf("server: the certificate of %s is revoked", cs.PeerCertificates[0].Subject.CommonName)
}

// versions reads ssl-protocols.
func versions(names []string) (lowest, highest uint16, err error) {
	lowest, highest = tls.VersionTLS12, tls.VersionTLS13
	if len(names) == 0 {
		return lowest, highest, nil
	}
	lowest, highest = tls.VersionTLS13, tls.VersionTLS12
	for _, name := range names {
		switch strings.ToLower(name) {
		case "tlsv1.2":
			lowest = tls.VersionTLS12
		case "tlsv1.3":
			highest = tls.VersionTLS13
		default:
			return 0, 0, fmt.Errorf("server: ssl-protocols: %q is not served; TLSv1.2 and TLSv1.3 are", name)
		}
	}
	return lowest, highest, nil
}

// ciphers reads cipher-suites. Unknown and unsafe ones are refused; ones that
// Go does not have (DHE) are left out as long as others remain.
func ciphers(names []string) ([]uint16, error) {
	if len(names) == 0 {
		return []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		}, nil
	}
	var ids []uint16
	modern := false
	for _, name := range names {
		if slices.ContainsFunc(tls.InsecureCipherSuites(), func(c *tls.CipherSuite) bool { return c.Name == name }) {
			return nil, fmt.Errorf("server: cipher-suites: %s is not safe", name)
		}
		for _, c := range tls.CipherSuites() {
			if c.Name == name && slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
				ids = append(ids, c.ID)
			} else if c.Name == name {
				modern = true
			}
		}
	}
	if ids == nil && !modern {
		return nil, fmt.Errorf("server: cipher-suites: none of %s is served", strings.Join(names, ", "))
	}
	return ids, nil
}
