package lint

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoMachinePaths: what is tracked says nothing of the machine where it was
// made. Recorded data may name paths of the machines where it was recorded.
func TestNoMachinePaths(t *testing.T) {
	home := machinePath()
	own := ownWords(t)
	for _, path := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		require.NoError(t, err)
		recorded := strings.Contains("/"+path, "/testdata/")
		if at := home.FindIndex(text); at != nil && !recorded && path != "cmd/internal/lint/words_test.go" {
			t.Errorf("%s:%d names a path of somebody's machine", path, lineOf(text, at[0]))
		}
		for what, word := range own {
			if at := bytes.Index(text, []byte(word)); at >= 0 {
				t.Errorf("%s:%d names %s of this machine", path, lineOf(text, at), what)
			}
		}
	}
}

// machinePath is a path below somebody's home or workplace. Absolute ones only:
// docs/home/ is none.
func machinePath() *regexp.Regexp {
	return regexp.MustCompile(`(?m)(?:^|[^A-Za-z0-9_.~\]-])/(?:home|Users|work)/[A-Za-z0-9_]`)
}

func TestMachinePath(t *testing.T) {
	for _, bad := range []string{"/home/alice", "see /work/x", "a\n/work/x", `"/Users/bob"`, "file:///home/a"} {
		require.True(t, machinePath().MatchString(bad), bad)
	}
	for _, good := range []string{"docs/home/a", "https://example.com/work/a", "$HOME/work", "/home", "network/work/x", "/homework/x"} {
		require.False(t, machinePath().MatchString(good), good)
	}
}

func lineOf(text []byte, at int) int { return bytes.Count(text[:at], []byte("\n")) + 1 }

// ownWords are words of this machine that are long enough to mean it.
func ownWords(t *testing.T) map[string]string {
	t.Helper()
	words := map[string]string{}
	add := func(what, word string, shortest int) {
		if len(word) >= shortest {
			words[what] = word
		}
	}
	directory, err := filepath.Abs(root)
	require.NoError(t, err)
	add("the directory", directory+"/", 4)
	host, err := os.Hostname()
	require.NoError(t, err)
	add("the host name", host, 8)
	if u, err := user.Current(); err == nil && u.Uid != "0" {
		add("the user's home directory", u.HomeDir+"/", 6)
	}
	for proxy := range strings.SplitSeq(os.Getenv("GOPROXY"), ",") {
		if _, after, ok := strings.Cut(proxy, "://"); ok && !strings.HasPrefix(after, "proxy.golang.org") {
			add("the module proxy", strings.TrimSuffix(after, "/"), 8)
		}
	}
	return words
}

// tracked lists the files of the repository.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skip("this is no git repository")
	}
	var all []string
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		all = append(all, path)
	}
	require.NotEmpty(t, all)
	return all
}

// TestNoLeftovers: what is not done stands in the tracker, not in a comment.
func TestNoLeftovers(t *testing.T) {
	leftover := regexp.MustCompile(`\b(?:TODO|FIXME|XXX|HACK)\b`)
	for _, path := range tracked(t) {
		if path == "cmd/internal/lint/words_test.go" || strings.Contains(path, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			continue
		}
		if at := leftover.FindIndex(text); at != nil {
			t.Errorf("%s:%d: %s", path, lineOf(text, at[0]), text[at[0]:at[1]])
		}
	}
}
