//go:build acceptance

package acceptance

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// debianModules is where Debian has modules.
const debianModules = "/usr/share/puppet/modules"

// writeCode writes Puppet's code: a manifest, and a module of our own.
func writeCode(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"manifests/site.pp":                    manifest,
		"modules/acceptance/plans/steps.yaml":  stepsPlan,
		"modules/acceptance/plans/who.yaml":    whoPlan,
		"modules/acceptance/plans/apply.yaml":  applyPlan,
		"modules/acceptance/files/who.sh":      "#!/bin/sh\nid -un\n",
		"modules/acceptance/files/check.sh":    "#!/bin/sh\necho \"$1 is $(wc -l < \"$2\") lines\"\n",
		"modules/acceptance/files/motd":        "from a module\n",
		"modules/acceptance/tasks/look.json":   `{"input_method": "environment", "parameters": {"into": {"type": "String[1]"}, "token": {"type": "Optional[String]", "sensitive": true}}}`,
		"modules/acceptance/tasks/look.sh":     "#!/bin/sh\necho \"user $(id -un)\"\n[ -t 1 ] && echo terminal\necho \"token ${#PT_token}\"\nps -eww -o args= > \"$PT_into\"\n",
		"modules/acceptance/tasks/slow.json":   `{"input_method": "environment", "parameters": {"pids": {"type": "String[1]"}}}`,
		"modules/acceptance/tasks/slow.sh":     "#!/bin/sh\nsleep 300 &\necho $$ $! >> \"$PT_pids\"\nwait\n",
		"modules/acceptance/tasks/shared.json": `{"input_method": "both", "files": ["acceptance/files/motd"], "supports_noop": true}`,
		"modules/acceptance/tasks/shared.sh":   "#!/bin/sh\ncat \"$PT__installdir/acceptance/files/motd\"\necho \"noop $PT__noop\"\n",
	} {
		path := filepath.Join(dir, "environments/production", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// openDir is a directory that other users can read, for the time of the test.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acceptance-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// service is one that service(8) knows, by an init script, for Debian's task
// apache to reload.
type service struct {
	name string
	log  string // a line for each time: the id of the user who did it
}

func newService(t *testing.T) *service {
	t.Helper()
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("service(8) asks systemd here, and not init scripts")
	}
	s := &service{"dalang-acceptance", filepath.Join(openDir(t), "reloads")}
	require.NoError(t, os.WriteFile(s.log, nil, 0o666))
	require.NoError(t, os.Chmod(s.log, 0o666))
	script := "/etc/init.d/" + s.name
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = reload ] && id -u >> '"+s.log+"'\n"), 0o755))
	t.Cleanup(func() { os.Remove(script) })
	return s
}

// reloads are the ids of the users who reloaded the service so far.
func (s *service) reloads(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	require.NoError(t, err)
	return strings.Fields(string(text))
}

// database is a PostgreSQL for Debian's task postgresql::sql.
type database struct {
	socket string // directory of its socket
}

// startDatabase runs a cluster of its own until the test ends.
func startDatabase(t *testing.T) *database {
	t.Helper()
	installed(t, "/usr/bin/pg_createcluster", "postgresql")
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	require.NotEmpty(t, bins)
	bin := filepath.Dir(bins[len(bins)-1])
	dir := openDir(t)
	owner, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.Atoi(owner.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(owner.Gid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, uid, gid))
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-A", "trust", "-N")
	initdb.SysProcAttr, initdb.Dir = as, dir
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "%s", out)
	dalangtest.Process(t, "/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
		filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"), "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	require.Eventually(t, func() bool {
		return exec.Command("psql", "--host="+dir, "--username=postgres", "-c", "SELECT 1").Run() == nil
	}, time.Minute, 100*time.Millisecond)
	return &database{dir}
}
