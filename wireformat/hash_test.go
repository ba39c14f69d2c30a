package wireformat

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHashesOfTheRealServer decodes the corpus and compares the hashes with
// those that a real PuppetDB answered for the same commands.
func TestHashesOfTheRealServer(t *testing.T) {
	reports, factsets, resources := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, file := range []string{"agents.jsonl", "edge.jsonl"} {
		for _, r := range corpus(t, file) {
			payload, err := Decode(r.name(), r.Version, time.Now(), []byte(r.Body))
			require.NoError(t, err)
			switch p := payload.(type) {
			case *Report:
				reports[p.Hash] = true
			case *Facts:
				factsets[p.Hash()] = true
			case *Catalog:
				for _, resource := range p.Resources {
					resources[resource.Hash] = true
				}
			}
		}
	}
	compared := map[string]int{}
	check := func(kind string, ours map[string]bool, hash any) {
		text, ok := hash.(string)
		if !ok {
			return
		}
		require.True(t, ours[text], "%s %s of the real server is not among ours", kind, text)
		compared[kind]++
	}
	for _, name := range []string{"reports", "factsets", "catalogs", "resources"} {
		for _, row := range goldenRows(t, name) {
			switch {
			case row["configuration_version"] != nil && row["puppet_version"] != nil:
				check("report", reports, row["hash"])
			case name == "factsets":
				check("factset", factsets, row["hash"])
			case row["parameters"] != nil:
				check("resource", resources, row["resource"])
			}
		}
	}
	require.GreaterOrEqual(t, compared["report"], 4)
	require.Greater(t, compared["factset"], 3)
	require.Greater(t, compared["resource"], 30)
}

// goldenRows are the objects in the recorded answers of a group, at any depth.
func goldenRows(t *testing.T, group string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../testdata/conformance", "cases-"+group+".jsonl"))
	require.NoError(t, err)
	var rows []map[string]any
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				collect(e)
			}
		case map[string]any:
			rows = append(rows, v)
			for _, e := range v {
				collect(e)
			}
		}
	}
	for line := range bytes.Lines(text) {
		var c struct{ Expect struct{ Body any } }
		require.NoError(t, json.Unmarshal(line, &c))
		collect(c.Expect.Body)
	}
	return rows
}

// TestHashVectors are the vectors of spec commands.md §10.
func TestHashVectors(t *testing.T) {
	g := &graph{decoder: &decoder{}}
	require.Equal(t, "b4199f8703c5dc208054a62203db132c3d12581c", hexSHA1([]byte("[null,null,null]")))
	require.Equal(t, hexSHA1([]byte(`["a","b",{"c":1}]`)), g.resourceHash(&Resource{Type: "a", Title: "b", Parameters: JSON(`{"c":1}`)}))
	f := &Facts{Certname: "foo.com", Values: []Fact{
		{"domain", JSON(`"mydomain.com"`)}, {"fqdn", JSON(`"myhost.mydomain.com"`)}, {"hostname", JSON(`"myhost"`)},
		{"kernel", JSON(`"Linux"`)}, {"operatingsystem", JSON(`"Debian"`)},
	}}
	require.Equal(t, "d132145bbef13a1e6d615a6d8db22fbfe870ecf2", f.Hash())
}
