package hostile

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// bounded checks that hostile clients have not made labels: no label has more
// values than the program itself gives it.
func bounded(t *testing.T, server *dalangtest.Server) {
	t.Helper()
	status, body := server.Get(t, "/metrics", "")
	require.Equal(t, http.StatusOK, status)
	const most = 30 // beside routes and buckets, which are fixed
	label := regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
	values := map[string]map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, "dalang_") {
			continue
		}
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			if values[m[1]] == nil {
				values[m[1]] = map[string]bool{}
			}
			values[m[1]][m[2]] = true
		}
	}
	require.NotEmpty(t, values["version"])
	require.NotContains(t, values, "certname")
	for name, set := range values {
		if name != "route" && name != "le" {
			require.LessOrEqual(t, len(set), most, "label %s: %v", name, set)
		}
	}
	for route := range values["route"] {
		require.NotRegexp(t, `^/pdb/cmd/v1/[0-9a-f]`, route, "a route is a template")
	}
}
