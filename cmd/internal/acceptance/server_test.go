//go:build acceptance

package acceptance

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dalang is the binary under test, running.
type dalang struct {
	plain, tls string // base URLs
	log        bytes.Buffer
}

// binary builds the program once per test run.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dalang")
	out, err := exec.Command("go", "build", "-o", path, "dalang/cmd/dalang").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// startServer runs the binary as an operator would, with TLS that asks for
// client certificates, until the test ends.
func startServer(t *testing.T, ca *authority) *dalang {
	t.Helper()
	cert, key := ca.issue(t, "puppetdb.example.com")
	plain, secure := freeAddress(t), freeAddress(t)
	d := &dalang{plain: "http://" + plain, tls: "https://" + secure}
	cmd := exec.Command(binary(t), "serve", "--data", t.TempDir(), "--listen", plain,
		"--tls-listen", secure, "--tls-cert", cert, "--tls-key", key, "--tls-ca", ca.path("ca.pem"))
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait(), "the server did not stop cleanly")
		if t.Failed() {
			t.Logf("server log:\n%s", d.log.String())
		}
	})
	require.Eventually(t, func() bool {
		res, err := http.Get(d.plain + "/status/v1/simple")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond, "the server did not come up")
	return d
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// get queries the server and decodes the answer.
func (d *dalang) get(t *testing.T, path, query string, into any) int {
	t.Helper()
	target := d.plain + path
	if query != "" {
		target += "?query=" + url.QueryEscape(query)
	}
	res, err := http.Get(target)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	if res.StatusCode == http.StatusOK {
		require.NoError(t, json.Unmarshal(body, into), "%s: %s", path, body)
	}
	return res.StatusCode
}

// drained waits until every accepted command is processed.
func (d *dalang) drained(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var services map[string]struct {
			Status struct {
				QueueDepth *int `json:"queue_depth"`
			} `json:"status"`
		}
		d.get(t, "/status/v1/services", "", &services)
		depth := services["puppetdb-status"].Status.QueueDepth
		return depth != nil && *depth == 0
	}, 20*time.Second, 50*time.Millisecond, "the queue did not drain")
}
