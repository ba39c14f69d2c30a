//go:build acceptance

package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// TestTermini drives the server with Puppet's own termini: everything that a
// node's run sends and asks for must work with soft_write_failure off.
func TestTermini(t *testing.T) {
	installPuppet(t)
	ca := dalangtest.NewAuthority(t)
	server := startServer(t, ca)
	exporter := newNode(t, ca, "exporter.example.com", server.tls)
	collector := newNode(t, ca, "collector.example.com", server.tls)

	exporter.apply(t, `
class profile::base { notify { 'hello': } }
include profile::base
@@notify { "a greeting from ${trusted['certname']}": tag => 'greeting' }
@@notify { 'not asked for': tag => 'other' }
`)
	server.Drain(t)

	t.Run("facts, catalog and report are stored", func(t *testing.T) { stored(t, server, exporter.certname) })
	t.Run("an exported resource is collected", func(t *testing.T) {
		out := collector.apply(t, `Notify <<| tag == 'greeting' |>>`)
		require.Contains(t, out, "a greeting from exporter.example.com")
		require.NotContains(t, out, "not asked for")
	})
	t.Run("puppetdb_query answers", func(t *testing.T) {
		server.Drain(t)
		answersAST(t, collector)
	})
	t.Run("puppetdb_query answers PQL", func(t *testing.T) { answersPQL(t, collector) })
	t.Run("facts are found", func(t *testing.T) { findsFacts(t, collector, exporter.certname) })
	t.Run("node status and deactivation", func(t *testing.T) { deactivates(t, server, collector, exporter.certname) })
	t.Run("a new run brings the node back", func(t *testing.T) {
		exporter.apply(t, `notify { 'again': }`)
		server.Drain(t)
		var node struct{ Deactivated *string }
		server.Decode(t, "/pdb/query/v4/nodes/"+exporter.certname, "", &node)
		require.Nil(t, node.Deactivated)
		var reports []any
		server.Decode(t, "/pdb/query/v4/reports", `["=","certname","exporter.example.com"]`, &reports)
		require.Len(t, reports, 2)
	})
}

func answersAST(t *testing.T, collector *node) {
	t.Helper()
	result := filepath.Join(collector.dir, "result")
	collector.apply(t, fmt.Sprintf(`
$found_nodes = puppetdb_query(['from', 'nodes', ['extract', ['certname'], ['~', 'certname', '^exporter']]])
$found_kernel = puppetdb_query(['from', 'facts', ['extract', ['value'], ['and', ['=', 'name', 'kernel'], ['=', 'certname', 'exporter.example.com']]]])
$found_class = puppetdb_query(['from', 'resources', ['extract', ['title'], ['and', ['=', 'type', 'Class'], ['~', 'title', 'Profile']]]])
file { '%s': content => "${found_nodes[0]['certname']} ${found_kernel[0]['value']} ${found_class[0]['title']}" }
`, result))
	content, err := os.ReadFile(result)
	require.NoError(t, err)
	require.Equal(t, "exporter.example.com Linux Profile::Base", string(content))
}

func answersPQL(t *testing.T, collector *node) {
	t.Helper()
	result := filepath.Join(collector.dir, "pql")
	collector.apply(t, fmt.Sprintf(`
$found_node = puppetdb_query('nodes[certname]{ certname ~ "^exporter" and facts { name = "kernel" and value = "Linux" } }')
$found_os = puppetdb_query('inventory[certname, facts.os.family]{ certname = "exporter.example.com" }')
$found_tags = puppetdb_query('resources[title, exported]{ certname = "exporter.example.com" and tag = "greeting" order by title limit 1 }')
$found_none = puppetdb_query('facts[count()]{ name = "there is none" }')
file { '%s': content => "${found_node[0]['certname']} ${found_os[0]['facts.os.family']} ${found_tags[0]['exported']} ${found_none[0]['count']}" }
`, result))
	content, err := os.ReadFile(result)
	require.NoError(t, err)
	require.Equal(t, "exporter.example.com Debian true 0", string(content))
	collector.write(t, "bad.pp", `$none = puppetdb_query('nodes[certname]{ certnam = "x" }')`)
	out, code := collector.puppet(t, "apply", filepath.Join(collector.dir, "bad.pp"))
	require.NotZero(t, code)
	require.Contains(t, out, "did you mean 'certname'?", "the compiler's error says what is wrong")
}

func findsFacts(t *testing.T, collector *node, certname string) {
	t.Helper()
	out, code := collector.puppet(t, "facts", "find", certname, "--terminus", "puppetdb", "--render-as", "json")
	require.Zero(t, code)
	var found struct {
		Name   string         `json:"name"`
		Values map[string]any `json:"values"`
	}
	require.NoError(t, json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &found))
	require.Equal(t, certname, found.Name)
	require.Equal(t, "Linux", found.Values["kernel"])
	require.IsType(t, map[string]any{}, found.Values["os"], "structured facts stay structured")
	out, code = collector.puppet(t, "facts", "find", "nobody.example.com", "--terminus", "puppetdb", "--render-as", "json")
	require.Zero(t, code)
	require.Empty(t, strings.TrimSpace(out), "nobody is no error")
}

func deactivates(t *testing.T, server *dalang, collector *node, certname string) {
	t.Helper()
	out, code := collector.puppet(t, "node", "status", certname)
	require.Zero(t, code)
	require.Contains(t, out, "Currently active")
	out, code = collector.puppet(t, "node", "deactivate", certname)
	require.Zero(t, code)
	require.Contains(t, out, "Submitted 'deactivate node' for "+certname)
	server.Drain(t)
	var node struct{ Deactivated *string }
	server.Decode(t, "/pdb/query/v4/nodes/"+certname, "", &node)
	require.NotNil(t, node.Deactivated)
	out = collector.apply(t, `Notify <<| tag == 'greeting' |>>`)
	require.NotContains(t, out, "a greeting", "resources of a deactivated node are not collected")
}

// stored checks what the first run of a node must have left behind.
func stored(t *testing.T, server *dalang, certname string) {
	var node map[string]any
	server.Decode(t, "/pdb/query/v4/nodes/"+certname, "", &node)
	for _, field := range []string{"facts_timestamp", "catalog_timestamp", "report_timestamp", "latest_report_hash"} {
		require.NotNil(t, node[field], field)
	}
	require.Equal(t, "changed", node["latest_report_status"])

	var facts []struct{ Name string }
	server.Decode(t, "/pdb/query/v4/nodes/"+certname+"/facts", "", &facts)
	require.Greater(t, len(facts), 20)

	var resources []struct{ Type, Title string }
	server.Decode(t, "/pdb/query/v4/resources", fmt.Sprintf(`["and",["=","certname",%q],["=","exported",true]]`, certname), &resources)
	require.Len(t, resources, 2)

	var events []struct {
		Status string `json:"status"`
		Title  string `json:"resource_title"`
	}
	server.Decode(t, "/pdb/query/v4/events", fmt.Sprintf(`["=","certname",%q]`, certname), &events)
	require.Len(t, events, 1)
	require.Equal(t, "hello", events[0].Title)
}
