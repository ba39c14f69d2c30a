package docexample

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

const root = "../../.."

var update = flag.Bool("update", false, "write what is printed into the pages")

// pages are those with examples, by their name below docs/.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(name, path string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if bytes.Contains(text, []byte("\n"+fence+"\n")) {
			found[name] = path
		}
	}
	add("README.md", filepath.Join(root, "README.md"))
	docs := filepath.Join(root, "docs")
	require.NoError(t, fs.WalkDir(os.DirFS(docs), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			add(path, filepath.Join(docs, path))
		}
		return err
	}))
	return found
}

func TestPages(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed: the examples were not run", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
	r := &Runner{Binary: dalangtest.Build(t), Root: root, Update: *update}
	for name, path := range pages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.Page(t, path)
		})
	}
}

// TestRunner: a page whose examples are right, with everything that may differ.
func TestRunner(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	r := &Runner{Binary: dalangtest.Build(t), Root: root}
	r.Page(t, "testdata/good.md")
}

func TestParse(t *testing.T) {
	text, err := os.ReadFile("testdata/good.md")
	require.NoError(t, err)
	steps, err := parse(string(text))
	require.NoError(t, err)
	var verbs []string
	for _, s := range steps {
		verbs = append(verbs, s.verb)
	}
	require.Equal(t, []string{"serve", "run", "example", "example", "example", "example"}, verbs)

	for name, c := range map[string]struct{ page, want string }{
		"no command":       {"```console\nsomething\n```\n", `line 2: a console block begins with "$ "`},
		"open block":       {"\n```console\n$ a\nb\n", "line 2: the block does not end"},
		"open quote":       {"```console\n$ a 'b\n```\n", "line 2: the command does not end"},
		"open comment":     {"<!-- example: run\na\n", "line 1: the comment does not end"},
		"other directive":  {"<!-- example: sleep 1 -->\n", `line 1: there is no directive "sleep"`},
		"nothing to do":    {"<!-- example: load -->\n", "line 1: load of what?"},
		"backslash, block": {"```console\n$ a \\\n```\n", "line 2: the command does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.page)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestOtherBlocksAreLeftAlone(t *testing.T) {
	steps, err := parse("```\n```console\n```\n```sh\n$ a\n```\n<!-- example: skip later -->\n```console\n$ a\n```\n```console\n$ b\nc\n```\n")
	require.NoError(t, err)
	require.Len(t, steps, 1)
	require.Equal(t, step{line: 12, verb: "example", text: "b", want: "c", first: 12, end: 13}, steps[0])
}

func TestRewrite(t *testing.T) {
	page := "# A\n```console\n$ a\nold\n\n$ b\n$ c\nx\ny\n```\nend\n"
	steps, err := parse(page)
	require.NoError(t, err)
	got := rewrite(page, steps, map[int]string{0: "1\n2\n", 2: "new"})
	require.Equal(t, "# A\n```console\n$ a\n1\n2\n\n$ b\n$ c\nnew\n```\nend\n", got)
}

func TestMatch(t *testing.T) {
	const (
		a = "11111111-6b44-5338-b688-ffe56669aaaa"
		b = "2222222b-6b44-5338-b688-ffe56669bbbb"
		x = "88592611-6b44-5338-b688-ffe566693d42"
		y = "6859261c-6b44-5338-b688-ffe566693d42"
	)
	for name, c := range map[string]struct {
		want, got string
		ok        bool
	}{
		"equal":                   {"a\nb", "a  \r\nb\n\n", true},
		"other text":              {"a", "b", false},
		"more":                    {"a", "a\nb", false},
		"uuid":                    {"id " + x, "id " + a, true},
		"not a uuid":              {"id " + x, "id none", false},
		"the same uuid twice":     {x + " " + x, a + " " + b, false},
		"beginning of one":        {"id 6859261c", "id 2222222b", true},
		"a number":                {"id 68592611", "id 68592612", false},
		"time":                    {"at 2026-11-21T03:29:45.519Z", "at 2027-01-02T03:04:05.678Z", true},
		"time of another form":    {"at 2026-11-21T03:29:45.519Z", "at 2027-01-02T03:04:05Z", false},
		"given time":              {"at 2026-01-01T00:00:00Z", "at 2026-01-01T00:00:00Z", true},
		"given time, other":       {"at 2026-01-01T00:00:00Z", "at 2026-01-01T00:00:01Z", false},
		"age":                     {"a 0s", "a 2s", true},
		"age, later":              {"a 0s", "a 12s", false},
		"rest of a line":          {"a …\nb", "a x y\nb", true},
		"middle":                  {"a … c", "a b c", true},
		"not beyond the line":     {"a …", "a x\nb", false},
		"lines":                   {"a\n…\nd", "a\nb\nc\nd", true},
		"no lines":                {"a\n  …\nd", "a\nd", true},
		"lines, and something on": {"a\n…\nd", "a\nb\nc", false},
		"lines to the end":        {"a\n…", "a\nb\nc", true},
		"pattern":                 {"a.c", "abc", false},
	} {
		t.Run(name, func(t *testing.T) {
			bind := newBindings()
			bind.command("since 2026-01-01T00:00:00Z")
			require.Equal(t, c.ok, bind.match(c.want, c.got))
		})
	}

	bind := newBindings()
	require.True(t, bind.match("id 6859261c", "id 2222222b"))
	require.False(t, bind.match("uuid "+y, "uuid "+a), "it begins otherwise")
	require.True(t, bind.match("uuid "+y, "uuid "+b))
	require.Equal(t, "get "+b+" 2222222b", bind.command("get "+y+" 6859261c"))
	require.False(t, bind.match(y, a), "it stands for another one already")
	require.True(t, bind.match(y, b))
}

func FuzzParse(f *testing.F) {
	f.Add("```console\n$ a 'b\nc'\nd\n```\n<!-- example: run x\ny -->\n")
	f.Add("```\n$ a\n```\n<!-- example: skip -->\n```console\n$ a \\\n b\n```")
	f.Fuzz(func(t *testing.T, page string) {
		steps, err := parse(page)
		if err != nil {
			return
		}
		require.Equal(t, page, rewrite(page, steps, nil))
		for _, s := range steps {
			require.True(t, s.first <= s.end, "%+v", s)
			b := newBindings()
			b.command(s.text)
			b.match(s.want, s.want)
		}
	})
}
