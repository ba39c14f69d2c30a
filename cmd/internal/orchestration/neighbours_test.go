package orchestration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
	"dalang/orchestrator/rbac"
)

// neighbour is a service that lets in whoever shows a certificate of the CA.
func neighbour(t *testing.T, ca *dalangtest.Authority, handle http.HandlerFunc) string {
	t.Helper()
	cert, key := ca.Issue(t, "localhost")
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	text, err := os.ReadFile(ca.Path("ca.pem"))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(text))
	server := httptest.NewUnstartedServer(handle)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// TestOtherClassifier: node groups are another server's, which is asked for
// their rules; the nodes are those that are known here.
func TestOtherClassifier(t *testing.T) {
	const group, above, plain = "0b94c8f2-5d3e-4c1b-9a5d-000000000001", "0b94c8f2-5d3e-4c1b-9a5d-000000000002", "0b94c8f2-5d3e-4c1b-9a5d-000000000003"
	ca := dalangtest.NewAuthority(t)
	var down atomic.Bool
	asked := make(chan string, 100)
	url := neighbour(t, ca, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.TLS.PeerCertificates[0].Subject.CommonName + " " + r.URL.Path
		switch {
		case down.Load():
			http.Error(w, "restarting", http.StatusServiceUnavailable)
		case r.URL.Path == "/classifier-api/v1/groups/"+group+"/rules":
			_, _ = io.WriteString(w, `{"rule":["=",["fact","kernel"],"Linux"],"rule_with_inherited":["and",["=",["fact","kernel"],"Linux"],["~","name","^web"]],"translated":{}}`)
		case r.URL.Path == "/classifier-api/v1/groups/"+plain+"/rules":
			_, _ = io.WriteString(w, `{"rule":null,"rule_with_inherited":["~","name","^web"],"translated":{}}`)
		case r.URL.Path == "/classifier-api/v1/groups/"+group:
			_, _ = fmt.Fprintf(w, `{"id":%q,"name":"Linux","parent":%q,"classes":{}}`, group, above)
		case r.URL.Path == "/classifier-api/v1/groups":
			_, _ = fmt.Fprintf(w, `[{"id":%[1]q,"name":"All Nodes","parent":%[1]q,"environment":"production","rule":["~","name",".*"]},
				{"id":%[2]q,"name":"Linux","parent":%[1]q,"environment":"canary","environment_trumps":true,"rule":["=",["fact","kernel"],"Linux"]},
				{"id":%[3]q,"name":"db","parent":%[2]q,"environment":"stable","rule":["~","name","^db"]}]`, rbac.RootGroup, group, above)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"kind":"not-found","msg":"The resource could not be found.","details":{}}`)
		}
	})
	w := newWorldOf(t, ca, "--set", "orchestrator.classifier="+url)
	for _, name := range []string{"web1.example.com", "web2.example.com", "db1.example.com"} {
		w.facts(t, name, "production")
	}
	w.facts(t, "own.example.com", "canary")
	nodes := func(job string) (names []string) {
		var list struct{ Items []jobNode }
		w.read(t, "/jobs/"+job+"/nodes", &list)
		for _, n := range list.Items {
			names = append(names, n.Name)
		}
		return names
	}
	out, status := w.cli(t, "run", "--group", group, "-e", "production", "--detach")
	require.Zero(t, status)
	require.Equal(t, "1\n", out)
	require.Equal(t, []string{"web1.example.com", "web2.example.com"}, nodes("1"))
	require.Equal(t, "orchestrator.example.com /classifier-api/v1/groups/"+group+"/rules", <-asked, "the server shows its certificate")

	const deploy = "/orchestrator/v1/command/deploy"
	scope := func(id string) string { return `{"environment":"production","scope":{"node_group":"` + id + `"}}` }
	may := w.token(t, "ann", "orchestrator:view:*", "puppet_agent:run:*", "node_groups:view:"+above)
	accepted, text, _ := w.ask(t, "POST", deploy, scope(group), "X-Authentication", may)
	require.Equal(t, http.StatusAccepted, accepted, "a permission on the group above counts: %s", text)
	mayNot := w.token(t, "bob", "orchestrator:view:*", "puppet_agent:run:*", "node_groups:view:"+plain)
	w.refused(t, 403, "not-permitted", "POST", deploy, scope(group), "X-Authentication", mayNot)
	for _, id := range []string{plain, above} {
		e := w.refused(t, 400, "empty-target", "POST", deploy, scope(id))
		require.Equal(t, map[string]any{"node_group": id}, e.Details)
	}
	accepted, text, _ = w.ask(t, "POST", deploy, `{"environment":"canary"}`)
	require.Equal(t, http.StatusAccepted, accepted, "%s", text)
	require.Equal(t, []string{"own.example.com", "web1.example.com", "web2.example.com"}, nodes("3"), "those that run in it, and those that are assigned to it")
	down.Store(true)
	e := w.refused(t, 503, "node-group-error", "POST", deploy, `{"environment":"canary"}`)
	require.Contains(t, e.Msg, "the classifier answers /v1/groups with 503")
	e = w.refused(t, 503, "node-group-error", "POST", deploy, scope(group))
	require.Contains(t, e.Msg, "the classifier answers /v1/groups/"+group+"/rules with 503: restarting")
	require.Equal(t, map[string]any{"node_group": group}, e.Details)

	gone, _, _ := w.ask(t, "GET", "/classifier-api/v1/groups", "")
	require.Equal(t, http.StatusNotFound, gone, "there are no groups here")
	out, status = w.cli(t, "run", "--group", "Linux", "-e", "production")
	require.Equal(t, 2, status)
	require.Contains(t, out, `this server keeps no node groups, so that "Linux" must be the group's id`)
}

// shop is an environment catalog: web1 consumes what db1 produces.
const shop = `{"environment":"production","applications":{"Shop[x]":{
	"Shop::Web[x]":{"produces":[],"consumes":["Sql[x]"],"node":"web1.example.com"},
	"Shop::Db[x]":{"produces":["Sql[x]"],"consumes":[],"node":"db1.example.com"}}}}`

// TestApplicationsOfPuppet6: the environment catalog of an older Puppet Server
// says in which order nodes run, whatever the scope.
func TestApplicationsOfPuppet6(t *testing.T) {
	ca := dalangtest.NewAuthority(t)
	url := neighbour(t, ca, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Puppet-Version", "6.24.0")
		switch r.URL.Path {
		case "/puppet/v3/environments":
			_, _ = io.WriteString(w, `{"search_paths":[],"environments":{"production":{"settings":{}}}}`)
		case "/puppet/v3/environment/production":
			_, _ = io.WriteString(w, shop)
		default:
			http.NotFound(w, r)
		}
	})
	orderHolds(t, newWorldOf(t, ca, "--set", "orchestrator.puppetserver="+url))
}

// TestApplicationsOfFiles: the same, of a file.
func TestApplicationsOfFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "production.json")
	require.NoError(t, os.WriteFile(file, []byte(shop), 0o600))
	w := newWorld(t, "--set", "orchestrator.applications="+dir)
	orderHolds(t, w)

	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(shop, `"produces":[],"consumes":["Sql[x]"]`, `"produces":["Http[x]"],"consumes":["Sql[x]"]`, 1)), 0o600))
	var instances struct {
		Items []struct {
			Type, Title string
			Components  []struct{ Type, Node string }
		}
	}
	w.read(t, "/environments/production/instances", &instances)
	require.Len(t, instances.Items, 1)
	require.Equal(t, "db1.example.com", instances.Items[0].Components[0].Node, "producers come first")
	cyclic := strings.NewReplacer(`"produces":[],`, `"produces":["Http[x]"],`, `"consumes":[],`, `"consumes":["Http[x]"],`).Replace(shop)
	require.NoError(t, os.WriteFile(file, []byte(cyclic), 0o600))
	e := w.refused(t, 400, "dependency-cycle", "POST", "/orchestrator/v1/command/deploy", `{"environment":"production","scope":{"application":"shop"}}`)
	require.Len(t, e.Details["cycle"], 3)
	require.NoError(t, os.WriteFile(file, []byte(`{"applications":[]}`), 0o600))
	e = w.refused(t, 503, "unknown-error", "POST", "/orchestrator/v1/command/deploy", `{"environment":"production"}`)
	require.Contains(t, e.Msg, file, "an order that cannot be read is not left out")
}

// orderHolds runs the shop: web1 starts when db1 has finished, and not at all
// when that fails.
func orderHolds(t *testing.T, w *world) {
	t.Helper()
	db := w.newNode(t, "db1.example.com", func(n *node) { n.Takes = 300 * time.Millisecond })
	web := w.newNode(t, "web1.example.com", nil)
	for _, n := range []*node{web, db} {
		w.facts(t, n.Certname, "production")
		n.start(t)
	}
	w.connected(t, 2)
	_, status := w.cli(t, "run", "--application", "Shop[x]", "-e", "production")
	require.Zero(t, status)
	var events struct {
		Items []struct {
			Type    string
			Details struct{ Node string }
		}
	}
	w.read(t, "/jobs/1/events", &events)
	var order []string
	for _, e := range events.Items {
		order = append(order, e.Type+" "+e.Details.Node)
	}
	require.Equal(t, []string{"node_running db1.example.com", "node_finished db1.example.com", "node_running web1.example.com",
		"node_finished web1.example.com", "job_finished "}, order)

	db.change(t, func(n *node) { n.Status = "failed" })
	out, status := w.cli(t, "run", "--nodes", "web1.example.com,db1.example.com", "-e", "production")
	require.Equal(t, 3, status)
	require.Regexp(t, `web1\.example\.com +skipped .*db1\.example\.com`, out)
	require.Len(t, web.runs(t), 1)
}
