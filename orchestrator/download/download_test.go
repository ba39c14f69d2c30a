package download

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// keeper is one in a new directory, with small limits.
func keeper(t testing.TB, change func(*Config)) *Keeper {
	t.Helper()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "downloads"), Limits: Limits{Bytes: 1 << 20, Files: 50, Spare: 1}}
	if change != nil {
		change(&cfg)
	}
	k, err := New(cfg)
	require.NoError(t, err)
	return k
}

// told is the result of an outcome.
type told struct {
	Path   string
	Output string `json:"_output"`
	Error  struct {
		Kind, Msg string
		Code      string `json:"issue_code"`
	} `json:"_error"`
}

func read(t testing.TB, o job.Outcome) told {
	t.Helper()
	require.Empty(t, o.Stdout)
	require.Empty(t, o.Stderr)
	require.NoError(t, o.Err)
	var r told
	require.NoError(t, json.Unmarshal(o.Results, &r), "%s", o.Results)
	if r.Error.Kind != "" {
		require.Equal(t, job.Failed, o.State)
		require.Equal(t, kindFile, r.Error.Kind)
	} else {
		require.Equal(t, job.Finished, o.State)
	}
	return r
}

// run runs the command for a source as an agent does.
func run(t testing.TB, shell []string, source string) job.Outcome {
	t.Helper()
	cmd := exec.Command(shell[0], append(shell[1:], "-c", Command(source))...)
	cmd.Dir = "/"
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	o := job.Outcome{State: job.Finished, Stdout: string(out), Stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		o.State, o.ExitCode = job.Failed, exit.ExitCode()
	} else {
		require.NoError(t, err)
	}
	return o
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o755))
	return name
}

// shells are those of this machine that may be somebody's.
func shells() (found [][]string) {
	for _, s := range [][]string{{"sh"}, {"dash"}, {"bash"}, {"busybox", "sh"}, {"ksh"}, {"zsh"}} {
		if _, err := exec.LookPath(s[0]); err == nil {
			found = append(found, s)
		}
	}
	return found
}

// TestCommand: what the command packs is what is kept, by any shell and whatever
// the names.
func TestCommand(t *testing.T) {
	k, node := keeper(t, nil), t.TempDir()
	tree := filepath.Join(node, "it's a $HOME; tree")
	write(t, filepath.Join(tree, "a"), "one")
	write(t, filepath.Join(tree, "sub/-b\n"), "two")
	require.NoError(t, os.Symlink("../a", filepath.Join(tree, "sub/link")))
	require.NoError(t, os.Link(filepath.Join(tree, "a"), filepath.Join(tree, "sub/same")))
	require.NoError(t, os.Mkdir(filepath.Join(tree, "empty"), 0o2777))
	require.NoError(t, os.Symlink(tree, filepath.Join(node, "link")))
	for _, shell := range shells() {
		for _, name := range []string{"-x", "@y", "é ö\n", "'", `"\`, ".hidden", "x"} {
			source := write(t, filepath.Join(node, "files", name), name)
			r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: source, Destination: "a//b/"}, run(t, shell, source)))
			require.Empty(t, r.Error.Msg, shell)
			require.Equal(t, filepath.Join(k.dir, "7/a/b/web1", name), r.Path)
			require.Equal(t, "Downloaded 'web1:"+source+"' to '"+filepath.Dir(r.Path)+"'", r.Output)
			text, err := os.ReadFile(r.Path)
			require.NoError(t, err)
			require.Equal(t, name, string(text))
			info, err := os.Stat(r.Path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o640), info.Mode()&^0o022)
		}
		for _, source := range []string{tree, tree + "/", filepath.Join(node, "link")} {
			r := read(t, k.Receive(t.Context(), 8, "web1", job.Download{Source: source, Destination: "d"}, run(t, shell, source)))
			require.Empty(t, r.Error.Msg)
			require.Equal(t, filepath.Base(source), filepath.Base(r.Path))
			require.Equal(t, map[string]string{"a": "one", "sub/-b\n": "two", "sub/link": "one", "sub/same": "one"}, files(t, r.Path))
			require.DirExists(t, filepath.Join(r.Path, "empty"))
		}
	}
	require.NoDirExists(t, filepath.Join(k.dir, unpacking, "x"))
	left, err := os.ReadDir(filepath.Join(k.dir, unpacking))
	require.NoError(t, err)
	require.Empty(t, left)
	info, err := os.Stat(filepath.Join(k.dir, "7/a"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

// files are all files below a directory, with their contents.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		require.True(t, d.Type().IsRegular(), path)
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(text)
		return err
	}))
	return found
}

// TestCommandFails: what the node cannot read is told, and nothing is kept.
func TestCommandFails(t *testing.T) {
	k, node := keeper(t, nil), t.TempDir()
	fifo := filepath.Join(node, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	write(t, filepath.Join(node, "with/fine"), "x")
	require.NoError(t, syscall.Mkfifo(filepath.Join(node, "with/fifo"), 0o600))
	write(t, filepath.Join(node, "dangling/fine"), "x")
	require.NoError(t, os.Symlink("nowhere", filepath.Join(node, "dangling/link")))
	large := write(t, filepath.Join(node, "large"), strings.Repeat("x", 1<<20+1))
	noise := filepath.Join(node, "noise")
	random, err := os.Open("/dev/urandom")
	require.NoError(t, err)
	defer random.Close()
	text := make([]byte, MaxPacked+100_000)
	_, err = random.Read(text)
	require.NoError(t, err)
	write(t, noise, string(text))
	for source, want := range map[string]string{
		filepath.Join(node, "no such"): "READ_ERROR there is no such file or directory", fifo: "READ_ERROR it is neither a file nor a directory",
		"/dev/null": "READ_ERROR it is neither a file nor a directory", filepath.Join(node, "dangling"): "READ_ERROR tar ended with status",
		filepath.Join(node, "with"): `ARCHIVE_ERROR "./with/fifo" is neither a file nor a directory`, large: "LIMIT_ERROR it is too large: more than 1048576 bytes",
		noise: "LIMIT_ERROR it is too large: packed, it has more than 6000000 bytes",
	} {
		o := run(t, []string{"sh"}, source)
		require.Less(t, len(o.Stdout), 8<<20, "it fits where 8 MiB do")
		r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: source, Destination: "d"}, o))
		code, msg, _ := strings.Cut(want, " ")
		require.Equal(t, code, r.Error.Code, r.Error.Msg)
		require.Contains(t, r.Error.Msg, "'"+source+"' was not downloaded from web1: "+msg)
	}
	require.NoDirExists(t, filepath.Join(k.dir, "7"))
}

// TestOutcomes: runs that were no download.
func TestOutcomes(t *testing.T) {
	k := keeper(t, nil)
	d := job.Download{Source: "/etc/motd", Destination: "d"}
	erred := job.Outcome{State: job.Errored, Err: errors.New("lost")}
	require.Equal(t, erred, k.Receive(t.Context(), 7, "web1", d, erred))
	fine := pack(t, file("motd", "x"))
	for _, c := range []struct {
		o          job.Outcome
		code, want string
	}{
		{job.Outcome{State: job.Failed, ExitCode: 127, Stderr: "sh: not found\n"}, codeRead, "the command that packs it ended with exit code 127: sh: not found"},
		{job.Outcome{State: job.Finished, Stdout: "hello"}, codeRead, "ended with exit code 0"},
		{job.Outcome{State: job.Failed, ExitCode: 137, Stdout: fine}, codeRead, "ended with exit code 137"},
		{job.Outcome{State: job.Finished, Stdout: packed}, codeArchive, "not packed as it should be: EOF"},
		{job.Outcome{State: job.Finished, Stdout: packed + "%%%%"}, codeArchive, "illegal base64"},
		{job.Outcome{State: job.Finished, Stdout: fine[:len(fine)-20]}, codeArchive, "what came is no whole archive"},
		{job.Outcome{State: job.Finished, Stdout: refused + strings.Repeat("é", 5000)}, codeRead, "é…"},
	} {
		r := read(t, k.Receive(t.Context(), 7, "web1", d, c.o))
		require.Equal(t, c.code, r.Error.Code, r.Error.Msg)
		require.Contains(t, r.Error.Msg, c.want)
		require.Less(t, len(r.Error.Msg), 2200)
	}
	for _, certname := range []string{"", ".", "..", "a/b", "a\x00"} {
		r := read(t, k.Receive(t.Context(), 7, certname, d, job.Outcome{State: job.Finished, Stdout: fine}))
		require.Contains(t, r.Error.Msg, "its name cannot be that of a directory")
	}
	for _, bad := range []job.Download{{Source: "motd", Destination: "d"}, {Source: "/", Destination: "d"}, {Source: "/etc/motd", Destination: "../d"}, {Source: "/etc/motd"}} {
		require.Equal(t, codeWrite, read(t, k.Receive(t.Context(), 7, "web1", bad, job.Outcome{State: job.Finished, Stdout: fine})).Error.Code)
	}
	require.Equal(t, codeWrite, read(t, k.Receive(t.Context(), 0, "web1", d, job.Outcome{State: job.Finished, Stdout: fine})).Error.Code)
	require.NoDirExists(t, filepath.Join(k.dir, "7"))
	require.Empty(t, read(t, k.Receive(t.Context(), 7, "web1", d, job.Outcome{State: job.Finished, Stdout: "welcome\n" + fine + "\nbye"})).Error.Msg, "shells may talk")
}

// TestDisk: downloads leave room, and say what the disk refuses.
func TestDisk(t *testing.T) {
	left := int64(1<<30 + 4*(1<<20+50*4096) - 1)
	k := keeper(t, func(c *Config) {
		c.Limits.Spare = 1 << 30
		c.Free = func(string) (int64, error) { return left, nil }
	})
	d, o := job.Download{Source: "/etc/motd", Destination: "d"}, job.Outcome{State: job.Finished, Stdout: pack(t, file("motd", "x"))}
	r := read(t, k.Receive(t.Context(), 7, "web1", d, o))
	require.Equal(t, codeWrite, r.Error.Code)
	require.Contains(t, r.Error.Msg, "the disk of this server has only 1028 MiB left, and downloads begin with no less than 1028 MiB")
	left++
	require.Empty(t, read(t, k.Receive(t.Context(), 7, "web1", d, o)).Error.Msg)
	n, err := free(t.TempDir())
	require.True(t, err != nil || n > 0)

	require.NoError(t, os.WriteFile(filepath.Join(k.dir, "8"), nil, 0o600))
	r = read(t, k.Receive(t.Context(), 8, "web1", d, o))
	require.Equal(t, codeWrite, r.Error.Code)
	require.Contains(t, r.Error.Msg, "this server cannot keep it: ")
}

// TestReplaced: what comes again takes the place of what was there, of the same
// node, destination and name only.
func TestReplaced(t *testing.T) {
	k := keeper(t, nil)
	put := func(planJob int64, certname, destination string, entries ...entry) {
		t.Helper()
		r := read(t, k.Receive(t.Context(), planJob, certname, job.Download{Source: "/etc/motd", Destination: destination}, job.Outcome{State: job.Finished, Stdout: pack(t, entries...)}))
		require.Empty(t, r.Error.Msg)
	}
	put(7, "web1", "d", dir("motd"), file("motd/old", "1"))
	put(7, "web2", "d", file("motd", "2"))
	put(8, "web1", "d", file("motd", "3"))
	put(7, "web1", "e/f", file("motd", "4"))
	put(7, "web1", "d", dir("motd"), file("motd/new", "5"))
	require.Equal(t, map[string]string{"7/d/web1/motd/new": "5", "7/d/web2/motd": "2", "7/e/f/web1/motd": "4", "8/d/web1/motd": "3"}, files(t, k.dir))
	put(7, "web1", "d", file("motd", "6"))
	o := job.Outcome{State: job.Finished, Stdout: pack(t, file("motd", "bad"), file("motd", "twice"))}
	require.NotEmpty(t, read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o)).Error.Msg)
	require.Equal(t, "6", files(t, k.dir)["7/d/web1/motd"], "a download that fails changes nothing")
}

// TestRestart: what was being unpacked when the server died goes; what has its
// name stays, until its plan job is gone.
func TestRestart(t *testing.T) {
	k := keeper(t, nil)
	n, err := k.Prune(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n, "there is no directory yet")
	o := job.Outcome{State: job.Finished, Stdout: pack(t, file("motd", "x"))}
	for id := int64(7); id <= 9; id++ {
		read(t, k.Receive(t.Context(), id, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o))
	}
	write(t, filepath.Join(k.dir, unpacking, "1/new/half"), "x")
	write(t, filepath.Join(k.dir, "notes/x"), "x")
	k, err = New(Config{Dir: k.dir})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"7/d/web1/motd": "x", "8/d/web1/motd": "x", "9/d/web1/motd": "x", "notes/x": "x"}, files(t, k.dir))
	n, err = k.Prune(t.Context(), func(_ context.Context, id int64) (bool, error) { return id != 8, nil })
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, map[string]string{"7/d/web1/motd": "x", "9/d/web1/motd": "x", "notes/x": "x"}, files(t, k.dir))
	_, err = k.Prune(t.Context(), func(context.Context, int64) (bool, error) { return false, errors.New("busy") })
	require.ErrorContains(t, err, "downloads of the plan job 7: busy")
	require.Len(t, files(t, k.dir), 3)
	_, err = New(Config{})
	require.ErrorContains(t, err, "a directory is required")
}

// TestAtOnce: many nodes at a time, some the same.
func TestAtOnce(t *testing.T) {
	k := keeper(t, nil)
	o := job.Outcome{State: job.Finished, Stdout: pack(t, dir("motd"), file("motd/a", "x"), file("motd/b", "y"))}
	done := make(chan told)
	for i := range 20 {
		go func() {
			var r told
			_ = json.Unmarshal(k.Receive(t.Context(), 7, fmt.Sprint("web", i%5), job.Download{Source: "/etc/motd", Destination: "d"}, o).Results, &r)
			done <- r
		}()
	}
	for range 20 {
		require.Empty(t, (<-done).Error.Msg)
	}
	require.Len(t, files(t, k.dir), 10)
}

// TestLate: an archive that takes too long.
func TestLate(t *testing.T) {
	k := keeper(t, func(c *Config) { c.Limits.Time = time.Nanosecond })
	r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, job.Outcome{State: job.Finished, Stdout: pack(t, file("motd", "x"))}))
	require.Equal(t, codeLimit, r.Error.Code)
	require.Contains(t, r.Error.Msg, "could not be unpacked within 1ns")
}

func TestPaths(t *testing.T) {
	for source, ok := range map[string]bool{"/etc/motd": true, "/etc/ssh/": true, "/": false, "//": false, "/a/..": false, "etc": false, "": false, `C:\x`: false,
		"/a\x00": false, "/" + strings.Repeat("a", 1000): false} {
		require.Equal(t, ok, CheckSource(source) == nil, source)
	}
	for destination, ok := range map[string]bool{"a": true, "a/b/": true, "a b": true, "..a": true, "~": true, "": false, " ": false, "/a": false, ".": false, "a/.": false,
		"../a": false, "a/../b": false, "a/..": false, "a\x00": false, strings.Repeat("a", 1001): false} {
		require.Equal(t, ok, CheckDestination(destination) == nil, destination)
	}
}

// TestUnwanted: what nobody wants any more is not kept, and does not wait for
// others.
func TestUnwanted(t *testing.T) {
	k := keeper(t, nil)
	d, o := job.Download{Source: "/etc/motd", Destination: "d"}, job.Outcome{State: job.Finished, Stdout: pack(t, file("motd", "x"))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, busy := range []int{0, atOnce} {
		for range busy {
			k.slots <- struct{}{}
		}
		got := k.Receive(ctx, 7, "web1", d, o)
		require.Equal(t, job.Errored, got.State)
		require.ErrorContains(t, got.Err, "The download of '/etc/motd' from web1 was stopped")
	}
	require.Empty(t, files(t, filepath.Dir(k.dir)))
}

// TestNotReplaced: what cannot be replaced stays.
func TestNotReplaced(t *testing.T) {
	k := keeper(t, nil)
	write(t, filepath.Join(k.dir, "7/d/web1/motd"), "old")
	write(t, filepath.Join(k.dir, unpacking, "1/new/other"), "new")
	root, err := os.OpenRoot(k.dir)
	require.NoError(t, err)
	defer root.Close()
	require.Error(t, k.name(root, unpacking+"/1", "motd", "7/d/web1/motd"))
	require.Equal(t, "old", files(t, k.dir)["7/d/web1/motd"])
	require.NoError(t, k.name(root, unpacking+"/1", "other", "7/d/web1/motd"))
	require.Equal(t, "new", files(t, k.dir)["7/d/web1/motd"])
}
