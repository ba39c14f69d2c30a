package content

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

func TestFiles(t *testing.T) {
	d, root := world(t)
	lay(t, root, map[string]string{"environments/production/modules/pkg/files/scripts/in_files.sh": "f", "environments/production/modules/pkg/scripts/in_files.sh": "s"})
	for name, want := range map[string]string{
		"pkg/c.txt": "/puppet/v3/file_content/modules/pkg/c.txt " + sha("c"), "pkg/files/c.txt": "/puppet/v3/file_content/modules/pkg/c.txt " + sha("c"),
		"pkg/scripts/s.sh": "/puppet/v3/file_content/scripts/pkg/s.sh " + sha("s"), "pkg/scripts/in_files.sh": "/puppet/v3/file_content/modules/pkg/scripts/in_files.sh " + sha("f"),
	} {
		found, err := d.Files(t.Context(), "production", name)
		require.NoError(t, err, name)
		require.Len(t, found, 1)
		require.False(t, found[0].Dir)
		require.Equal(t, want, found[0].File.URI.Path+" "+found[0].File.SHA256)
		require.Equal(t, map[string]string{"environment": "production"}, found[0].File.URI.Params)
		require.Equal(t, name[strings.LastIndexByte(name, '/')+1:], found[0].File.Filename)
	}
	found, err := d.Files(t.Context(), "production", "pkg/a")
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, Placed{Dir: true}, found[0])
	require.Equal(t, "b.txt", found[1].Path)
	require.Equal(t, sha("b"), found[1].File.SHA256)
	for _, name := range []string{"pkg/nosuch", "nosuch/c.txt", "pkg", "pkg/", "pkg/../facts/tasks/init.sh", "/etc/passwd", "pkg//c.txt", "Pkg/c.txt", "pkg/tasks/two.sh", "", "pkg/\x00"} {
		_, err := d.Files(t.Context(), "production", name)
		require.ErrorIs(t, err, job.Invalid("", ""), name)
	}
	_, err = d.Files(t.Context(), "production", "pkg/out")
	require.Error(t, err, "no link leads out")
	_, err = d.Files(t.Context(), "nosuch", "pkg/c.txt")
	require.ErrorIs(t, err, job.UnknownEnvironment(""))

	server := httptest.NewServer(http.HandlerFunc(d.ServeHTTP))
	defer server.Close()
	s := NewServer(ServerConfig{URL: server.URL, Client: server.Client()})
	for _, name := range []string{"pkg/c.txt", "pkg/scripts/s.sh"} {
		theirs, err := s.Files(t.Context(), "production", name)
		require.NoError(t, err)
		ours, err := d.Files(t.Context(), "production", name)
		require.NoError(t, err)
		require.Equal(t, ours, theirs)
	}
	_, err = s.Files(t.Context(), "production", "pkg/nosuch")
	require.ErrorIs(t, err, job.Invalid("", ""))
}
