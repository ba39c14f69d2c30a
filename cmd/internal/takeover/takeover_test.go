// Package takeover starts Dalang on the spool that a real PuppetDB left behind.
package takeover

import (
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// spool is the stockpile of a PuppetDB 7.12.1 that was killed with 42 commands
// queued; see testdata/README.md.
const spool = "../../../testdata/spool"

func TestSpoolOfPuppetDB(t *testing.T) {
	server := dalangtest.New(t, dalangtest.Build(t))
	require.NoError(t, os.CopyFS(server.Data, os.DirFS(spool)))
	server.Start(t)
	defer server.Stop(t)
	server.Drain(t)

	var nodes []struct{ Certname string }
	server.Decode(t, "/pdb/query/v4/nodes", "", &nodes)
	var certnames []string
	for _, n := range nodes {
		certnames = append(certnames, n.Certname)
	}
	sort.Strings(certnames)
	require.Equal(t, []string{
		"bad1.example.com", "db1.example.com", "lb1.example.com", "plain1.example.com",
		"under_score/slash.example.com", // its file name holds a mangled form
		"web1.example.com", "web2.example.com",
	}, certnames)

	var reports []struct{ Certname string }
	server.Decode(t, "/pdb/query/v4/reports", `["extract",["certname"]]`, &reports)
	require.Len(t, reports, 13)

	letters, err := filepath.Glob(filepath.Join(server.Data, "mq", "discarded", "*", "41-*.json.gz"))
	require.NoError(t, err)
	require.Len(t, letters, 1, "the broken command is a dead letter, under its own name")
	require.Eventually(t, func() bool { // they go together, a little later
		left, err := os.ReadDir(filepath.Join(server.Data, "stockpile", "cmd", "q"))
		return err == nil && len(left) == 0
	}, time.Minute, 10*time.Millisecond)
}
