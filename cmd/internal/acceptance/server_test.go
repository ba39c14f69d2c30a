//go:build acceptance

package acceptance

import (
	"testing"

	"dalang/cmd/internal/dalangtest"
)

// dalang is the binary under test with a TLS listener beside the plain one.
type dalang struct {
	*dalangtest.Server
	tls string // base URL
}

// startServer runs the binary as an operator would, with TLS that asks for
// client certificates, until the test ends.
func startServer(t *testing.T, ca *dalangtest.Authority, args ...string) *dalang {
	t.Helper()
	cert, key := ca.Issue(t, "puppetdb.example.com")
	secure := dalangtest.FreeAddress(t)
	d := &dalang{tls: "https://" + secure, Server: dalangtest.New(t, dalangtest.Build(t), append([]string{
		"--tls-listen", secure, "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca.Path("ca.pem")}, args...)...)}
	d.Start(t)
	t.Cleanup(func() {
		d.Stop(t)
		if t.Failed() {
			t.Logf("server log:\n%s", d.Log())
		}
	})
	return d
}
