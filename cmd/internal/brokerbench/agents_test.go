package brokerbench

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pki is a CA with RSA keys, as Puppet's is. All agents share a key, which
// takes long to make; each has a certificate of its own.
type pki struct {
	ca     *x509.Certificate
	caKey  *rsa.PrivateKey
	agents *rsa.PrivateKey
	serial int64
}

const server = "server.example.com"

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{}
	for _, key := range []**rsa.PrivateKey{&p.caKey, &p.agents} {
		var err error
		*key, err = rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Puppet CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &p.caKey.PublicKey, p.caKey)
	require.NoError(t, err)
	p.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return p
}

// issue makes a certificate of a public key.
func (p *pki) issue(t *testing.T, certname string, key crypto.PublicKey) []byte {
	t.Helper()
	p.serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1 + p.serial), Subject: pkix.Name{CommonName: certname}, DNSNames: []string{certname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, p.ca, key, p.caKey)
	require.NoError(t, err)
	return der
}

// files writes what the server needs and answers its flags.
func (p *pki) files(t *testing.T) []string {
	t.Helper()
	f := p.identity(t, server)
	return []string{"--tls-ca", f.CA, "--tls-cert", f.Cert, "--tls-key", f.Key}
}

// identity are the files of somebody with a key of its own.
type identity struct{ CA, Cert, Key string }

func (p *pki) identity(t *testing.T, certname string) identity {
	t.Helper()
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	f := identity{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{
		f.CA:   {Type: "CERTIFICATE", Bytes: p.ca.Raw},
		f.Cert: {Type: "CERTIFICATE", Bytes: p.issue(t, certname, &key.PublicKey)},
		f.Key:  {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	return f
}

// shared is a certificate of the key that all agents share.
func (p *pki) shared(t *testing.T, certname string) tls.Certificate {
	t.Helper()
	return tls.Certificate{Certificate: [][]byte{p.issue(t, certname, &p.agents.PublicKey)}, PrivateKey: p.agents}
}

// roots are what clients trust.
func (p *pki) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return pool
}

// connect connects an agent and answers its connection after the websocket
// handshake. It keeps no buffers: ten thousand are in one process.
func connect(address string, roots *x509.CertPool, cert tls.Certificate, version uint16) (*tls.Conn, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: server, Certificates: []tls.Certificate{cert},
		MinVersion: version, MaxVersion: version})
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, "GET /pcp2/agent HTTP/1.1\r\nHost: "+server+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("no websocket: %s", response.Status)
	}
	return conn, nil
}

// ping sends an empty ping. Its answer stays in the kernel's buffer.
func ping(conn *tls.Conn) error {
	_, err := conn.Write([]byte{0x89, 0x80, 0, 0, 0, 0})
	return err
}
