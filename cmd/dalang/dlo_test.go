package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/dlo"
	"dalang/server/pdb"
	"dalang/wireformat"
)

const (
	mendedFacts = `{"certname":"web1.example.com","environment":"production","values":{"a":1},"producer_timestamp":"2026-01-02T03:04:05.000Z","producer":"ca"}`
	brokenFacts = `{"certname":"web1.example.com","environment":7,"values":{"a":1},"producer_timestamp":"2026-01-02T03:04:05.000Z","producer":"ca"}`
)

// letters is a data directory with letters in it, and a clock.
type letters struct {
	t    *testing.T
	data string
	now  time.Time
	ids  map[string]uuid.UUID // by certname
}

// newLetters makes three letters: web1 (validation), web2 (parse), db1 (version).
func newLetters(t *testing.T) *letters {
	l := &letters{t: t, data: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ids: map[string]uuid.UUID{}}
	// The salt makes uuids; with this one they are the same in every run.
	spool := filepath.Join(l.data, "stockpile", "cmd")
	require.NoError(t, os.MkdirAll(spool, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(spool, "dalang-salt"), []byte("6ba7b810-9dad-11d1-80b4-00c04fd430c8\n"), 0o600))
	l.add(wireformat.ReplaceFacts, 5, "web1.example.com", brokenFacts)
	l.add(wireformat.StoreReport, 8, "web2.example.com", `{"certname":"web2`)
	l.add(wireformat.ReplaceCatalog, 10, "db1.example.com", `{"certname":"db1.example.com","n":12345678901234567890.10}`)
	return l
}

// add discards a command for the reason that decoding it gives.
func (l *letters) add(c wireformat.Command, version int, certname, body string) {
	l.t.Helper()
	_, err := wireformat.Decode(c, version, l.now, []byte(body))
	l.discard(c, version, certname, body, false, err)
}

func (l *letters) discard(c wireformat.Command, version int, certname, body string, zipped bool, reason error) {
	l.t.Helper()
	var bad *wireformat.Error
	require.ErrorAs(l.t, reason, &bad)
	office, err := openStopped(l.data, func() time.Time { return l.now })
	require.NoError(l.t, err)
	e, err := office.queue.Put(context.Background(), queue.NewMeta(c, version, certname, l.now, time.Time{}, zipped), strings.NewReader(body))
	require.NoError(l.t, err)
	require.NoError(l.t, office.Discard(context.Background(), commands.Letter{
		Entry: e, BodyPath: office.queue.Path(e), Certname: certname, Client: "compiler1",
		Cause: bad.Cause, Message: bad.Message, Problems: bad.Problems,
	}))
	require.NoError(l.t, office.Close())
	l.ids[certname] = e.UUID
	l.now = l.now.Add(time.Minute)
}

// run runs `dalang dlo` on the data directory.
func (l *letters) run(args ...string) (string, error) {
	return l.runOn([]string{"--data", l.data}, args...)
}

func (l *letters) runOn(where []string, args ...string) (string, error) {
	l.t.Helper()
	cmd := (&dloCLI{now: func() time.Time { return l.now }}).command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(""))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, where...))
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func (l *letters) must(args ...string) string {
	l.t.Helper()
	out, err := l.run(args...)
	require.NoError(l.t, err)
	return out
}

// serve serves the letters, as a running server does.
func (l *letters) serve() *httptest.Server {
	office, err := openStopped(l.data, func() time.Time { return l.now })
	require.NoError(l.t, err)
	router := mux.NewRouter().UseEncodedPath()
	for _, route := range pdb.NewDLO(office.Office, office).Routes() {
		router.HandleFunc(route.Path, func(w http.ResponseWriter, r *http.Request) {
			if p, ok := route.Handle(w, r).(*pdb.Problem); ok {
				_ = pdb.WriteJSON(w, p.Status, map[string]string{"error": p.Message})
			}
		}).Methods(route.Methods...)
	}
	s := httptest.NewServer(router)
	l.t.Cleanup(func() {
		s.Close()
		require.NoError(l.t, office.Close())
	})
	return s
}

func TestDLOListing(t *testing.T) {
	l := newLetters(t)
	require.Equal(t, `ID        AGE  COMMAND             NODE              CAUSE        SIZE  MESSAGE
eabf0ada   1m  replace catalog 10  db1.example.com   version      58 B  Unknown catalog version '10'
36e5a2bd   2m  store report 8      web2.example.com  parse        17 B  invalid JSON at byte 17: unexpected end inside a string
1633aa29   3m  replace facts 5     web1.example.com  validation  128 B  Invalid replace facts command

3 letters, 203 B.
`, l.must("ls"))
	require.Equal(t, `CAUSE       LETTERS   SIZE  NODES  OLDEST            NEWEST            COMMANDS
parse             1   17 B      1  2026-03-01 12:01  2026-03-01 12:01  store report 1
validation        1  128 B      1  2026-03-01 12:00  2026-03-01 12:00  replace facts 1
version           1   58 B      1  2026-03-01 12:02  2026-03-01 12:02  replace catalog 1
total             3  203 B      3
`, l.must("stats"))
	require.Contains(t, l.must("ls", "--limit", "1"), "This is the newest; --limit 0 shows all.")
	require.Contains(t, l.must("ls", "--certname", "web*", "--older-than", "150s"), "1 letter, 128 B.")
	require.Equal(t, "No letter matches.\n", l.must("stats", "--cause", "panic"))
	var listing dlo.Listing
	require.NoError(t, json.Unmarshal([]byte(l.must("ls", "-o", "json")), &listing))
	require.Equal(t, l.ids["db1.example.com"], listing.Letters[0].UUID)
	require.Equal(t, "Deleted 3 letters (203 B); 0 letters (0 B) left.\n", l.must("prune", "--all"))
	require.Equal(t, "The dead letter office is empty.\n", l.must("ls"))
}

func TestDLOShow(t *testing.T) {
	l := newLetters(t)
	id := l.ids["web1.example.com"].String()
	want := `letter     ` + id + `
command    replace facts, version 5
node       web1.example.com
client     compiler1
received   2026-03-01 12:00:00.000 UTC
discarded  2026-03-01 12:00:00.000 UTC (3m ago)
file       0-1772366400000_facts_5_web1.example.com.json (128 B)
cause      validation
message    Invalid replace facts command

Problems
  $.environment  must be a string, not a number

Attempts
  1  2026-03-01 12:00:00.000 UTC  Invalid replace facts command
`
	require.Equal(t, want, l.must("show", "--no-payload", id[:6]))
	require.Equal(t, want+`
Payload
{
  "certname": "web1.example.com",
  "environment": 7,
  "values": {
    "a": 1
  },
  "producer_timestamp": "2026-01-02T03:04:05.000Z",
  "producer": "ca"
}
`, l.must("show", id))
	require.Equal(t, brokenFacts, l.must("show", "-o", "raw", id))
	require.Equal(t, brokenFacts, l.must("show", "-o", "payload", "0-1772366400000_facts_5_web1.example.com.json"))
	require.Contains(t, l.must("show", l.ids["db1.example.com"].String()), "12345678901234567890.10", "numbers stay")
	require.Contains(t, l.must("show", l.ids["web2.example.com"].String()), "Payload\n{\"certname\":\"web2\n")
	d, err := dlo.ReadDiagnosis([]byte(l.must("show", "-o", "json", id)))
	require.NoError(t, err)
	require.Equal(t, id, d.UUID.String())
	_, err = l.run("show", "ffffffff")
	require.EqualError(t, err, "no such letter in the dead letter office: ffffffff")
}

func TestDLOReplay(t *testing.T) {
	l := newLetters(t)
	l.addGood()
	out, err := l.run("replay", "--all", "--dry-run")
	require.NoError(t, err)
	require.Equal(t, `1/4  fails     1633aa29  replace facts 5  web1.example.com: Invalid replace facts command
     $.environment: must be a string, not a number
2/4  fails     36e5a2bd  store report 8  web2.example.com: invalid JSON at byte 17: unexpected end inside a string
3/4  fails     eabf0ada  replace catalog 10  db1.example.com: Unknown catalog version '10'
4/4  good      e9e259a8  deactivate node 3  old.example.com
1 of 4 letters would be taken in; 3 would fail again.
`, out)
	out, err = l.run("replay", "--all", "--rate", "1000/s")
	require.EqualError(t, err, "not all letters were replayed")
	require.Contains(t, out, "4/4  replayed  e9e259a8  deactivate node 3  old.example.com as ")
	require.Contains(t, out, "1 of 4 letters replayed; 3 would fail again and stay.\n")
	require.Len(t, l.queued(), 1)
	out, err = l.run("replay", "--cause", "panic")
	require.NoError(t, err)
	require.Equal(t, "No letter matches.\n", out)
	out, err = l.run("replay", "--cause", "version", "--force")
	require.NoError(t, err)
	require.Contains(t, out, "1 of 1 letter replayed.\n")
	require.Len(t, l.queued(), 2)
}

// addGood adds a letter that would be taken in today.
func (l *letters) addGood() {
	office, err := openStopped(l.data, func() time.Time { return l.now })
	require.NoError(l.t, err)
	defer office.Close()
	const body = `{"certname":"old.example.com","producer_timestamp":"2026-01-02T03:04:05.000Z"}`
	e, err := office.queue.Put(context.Background(),
		queue.NewMeta(wireformat.DeactivateNode, 3, "old.example.com", l.now, time.Time{}, false), strings.NewReader(body))
	require.NoError(l.t, err)
	require.NoError(l.t, office.Discard(context.Background(), commands.Letter{
		Entry: e, BodyPath: office.queue.Path(e), Certname: "old.example.com", Cause: "store", Message: "no",
	}))
	l.ids["old.example.com"] = e.UUID
}

// queued lists the bodies in the queue.
func (l *letters) queued() (list []string) {
	files, err := filepath.Glob(filepath.Join(l.data, "stockpile", "cmd", "q", "*"))
	require.NoError(l.t, err)
	for _, f := range files {
		file, err := os.Open(f)
		require.NoError(l.t, err)
		text, err := wireformat.Inflate(file, strings.HasSuffix(f, ".gz"), 1<<20, nil)
		require.NoError(l.t, errors.Join(err, file.Close()))
		list = append(list, string(text))
	}
	return list
}

// editor is an $EDITOR that runs a line of shell on "$1".
func editor(t *testing.T, script string) {
	path := filepath.Join(t.TempDir(), "editor")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", path)
	t.Setenv("TMPDIR", t.TempDir())
}

func TestDLOEdit(t *testing.T) {
	for _, how := range []string{"stopped", "running"} {
		t.Run(how, func(t *testing.T) {
			l := newLetters(t)
			where := []string{"--data", l.data}
			if how == "running" {
				where = []string{"--server", l.serve().URL}
			}
			id := l.ids["web1.example.com"].String()[:8]
			seen := filepath.Join(t.TempDir(), "seen")

			editor(t, "true")
			out, err := l.runOn(where, "edit", id)
			require.NoError(t, err)
			require.Equal(t, "Nothing was changed.\n", out)

			editor(t, `cat "$1" >> `+seen+`; sed -i 's/"web1.*"/8/' "$1"`)
			_, err = l.runOn(where, "edit", id)
			require.ErrorContains(t, err, "the payload would still fail: Invalid replace facts command")
			require.Empty(t, l.queued())
			text, err := os.ReadFile(seen)
			require.NoError(t, err)
			require.Contains(t, string(text), `# replace facts 5 of web1.example.com (letter 1633aa29)
#
# Invalid replace facts command
#   $.environment: must be a string, not a number
#
# These lines are dropped.`)
			require.Contains(t, string(text), "#   $.certname: ", "the second time, what is wrong now")

			editor(t, `sed -i 's/"environment": 7/"environment": "production"/' "$1"`)
			out, err = l.runOn(where, "edit", id)
			require.NoError(t, err)
			require.Contains(t, out, "Letter 1633aa29 was mended and replayed as ")
			require.Len(t, l.queued(), 1)
			require.JSONEq(t, mendedFacts, l.queued()[0])
			left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// TestDLOEditCutBodies: a payload whose gzip was cut can be seen as far as it
// goes, and be written anew.
func TestDLOEditCutBodies(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(`{"certname":"cut"`))
	require.NoError(t, errors.Join(err, z.Flush()))
	for _, how := range []string{"stopped", "running"} {
		for certname, body := range map[string]string{"cut": packed.String(), "empty": packed.String()[:12]} {
			t.Run(how+", "+certname, func(t *testing.T) {
				l := newLetters(t)
				l.discard(wireformat.ReplaceFacts, 5, certname, body, true, &wireformat.Error{Cause: "encoding", Message: "cut short"})
				where := []string{"--data", l.data}
				if how == "running" {
					where = []string{"--server", l.serve().URL}
				}
				id := l.ids[certname].String()
				shown, err := l.runOn(where, "show", id)
				require.NoError(t, err)
				require.Contains(t, shown, "cannot be read: the gzip stream is cut short")
				require.Equal(t, certname == "cut", strings.Contains(shown, "\nPayload\n{\"certname\":\"cut\"\n"), shown)

				seen := filepath.Join(t.TempDir(), "seen")
				editor(t, `cat "$1" > `+seen+`; echo '`+mendedFacts+`' > "$1"`)
				out, err := l.runOn(where, "edit", id)
				require.NoError(t, err)
				require.Contains(t, out, " of the payload can be read: the gzip stream is cut short\n")
				require.Contains(t, out, " was mended and replayed as ")
				require.Len(t, l.queued(), 1)
				require.JSONEq(t, mendedFacts, l.queued()[0])
				text, err := os.ReadFile(seen)
				require.NoError(t, err)
				require.Contains(t, string(text), "# cut short; what could be read of the payload stands below, write the rest anew\n")
			})
		}
	}
}

func TestDLOEditWithoutReplay(t *testing.T) {
	l := newLetters(t)
	id := l.ids["web1.example.com"].String()[:8]
	editor(t, `sed -i 's/"environment": 7/"environment": "production"/' "$1"`)
	require.Equal(t, "Letter 1633aa29 was mended; `dalang dlo replay 1633aa29` submits it.\n", l.must("edit", "--no-replay", id))
	require.Empty(t, l.queued())
	require.Contains(t, l.must("show", id), "edited     2026-03-01 12:03:00.000 UTC")
	editor(t, "exit 3")
	_, err := l.run("edit", id)
	require.ErrorContains(t, err, "exit status 3; the text is in ")
}

func TestDLORunningServer(t *testing.T) {
	l := newLetters(t)
	s := l.serve()
	_, err := l.run("ls")
	require.ErrorContains(t, err, "a server is running on "+l.data)
	remote, err := l.runOn([]string{"--server", s.URL}, "ls")
	require.NoError(t, err)
	require.Contains(t, remote, "3 letters, 203 B.")
	out, err := l.runOn([]string{"--server", s.URL}, "prune", "--keep-bytes", "0.06kiB", "--dry-run")
	require.NoError(t, err)
	require.Equal(t, "Would delete 2 letters (145 B); 1 letter (58 B) left.\n", out)
	file := filepath.Join(t.TempDir(), "letters.tar.gz")
	out, err = l.runOn([]string{"--server", s.URL}, "export", file, l.ids["db1.example.com"].String())
	require.NoError(t, err)
	require.Contains(t, out, "Wrote "+file)
	out, err = l.runOn([]string{"--server", s.URL}, "replay", "--all")
	require.Error(t, err)
	require.Contains(t, out, "0 of 3 letters replayed; 3 would fail again and stay.\n")
	s.Close()
	_, err = l.runOn([]string{"--server", s.URL}, "ls")
	require.EqualError(t, err, "no server answers at "+s.URL+"; name one with --server URL, or work on the data of a stopped one with --data DIR")
}

func TestDLOMistakes(t *testing.T) {
	l := newLetters(t)
	for _, c := range []struct{ args, want string }{
		{"replay", "nothing is selected"},
		{"prune", "nothing is selected"},
		{"prune --keep-bytes 5q", "is not a size"},
		{"prune --older-than 5", "is not an age"},
		{"replay --all --rate fast", "is not a rate"},
		{"replay --all --rate 0", "is not a rate"},
		{"replay --all --cause parse", "all cannot be narrowed"},
		{"ls --command fact", "there is no command"},
		{"ls -o xml", "must be table or json"},
		{"show", "wrong number of arguments: want dlo show ID"},
		{"show abc", "too short"},
		{"export", "wrong number of arguments: want dlo export FILE [ID...]"},
		{"export /nonexistent/x.tar.gz", "no such file or directory"},
	} {
		_, err := l.run(strings.Fields(c.args)...)
		require.ErrorContains(t, err, c.want, c.args)
	}
	_, err := l.runOn([]string{"--data", filepath.Join(l.data, "mq")}, "ls")
	require.ErrorContains(t, err, "is not a data directory")
	require.NoDirExists(t, filepath.Join(l.data, "mq", "stockpile"), "nothing is made")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = l.runOn([]string{"--data", file}, "ls")
	require.ErrorContains(t, err, "file/stockpile: not a directory", "what cannot be looked at is not called missing")
}

func TestDLOCompletion(t *testing.T) {
	l := newLetters(t)
	complete := func(args ...string) []string {
		cmd := (&dloCLI{now: time.Now}).command()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"__complete"}, args...))
		require.NoError(t, cmd.Execute())
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return lines[:len(lines)-1]
	}
	require.Equal(t, []string{
		"eabf0ada\treplace catalog 10 of db1.example.com: version",
		"36e5a2bd\tstore report 8 of web2.example.com: parse",
		"1633aa29\treplace facts 5 of web1.example.com: validation",
	}, complete("show", "--data", l.data, ""))
	require.Equal(t, []string{"36e5a2bd\tstore report 8 of web2.example.com: parse"}, complete("replay", "--data", l.data, "36"))
	require.Equal(t, []string{"parse\t1 letter", "validation\t1 letter", "version\t1 letter"}, complete("ls", "--data", l.data, "--cause", ""))
	require.Contains(t, complete("ls", "--server", "http://127.0.0.1:1", "--cause", ""), "validation")
	require.Contains(t, complete("ls", "--command", ""), "facts\treplace facts")
}

func TestPruneAsks(t *testing.T) {
	l := newLetters(t)
	ask := func(answer string) string {
		office, err := openStopped(l.data, time.Now)
		require.NoError(t, err)
		defer office.Close()
		var out bytes.Buffer
		req := dlo.PruneRequest{Selection: dlo.Selection{Filter: dlo.Filter{Cause: "parse"}}}
		require.NoError(t, prune(context.Background(), office, req, true, strings.NewReader(answer), &out))
		return out.String()
	}
	question := "Delete 1 letter (17 B) for good? [y/N] "
	require.Equal(t, question+"Nothing was deleted.\n", ask("\n"))
	require.Equal(t, question+"Nothing was deleted.\n", ask(""))
	require.Equal(t, question+"Deleted 1 letter (17 B); 2 letters (186 B) left.\n", ask("Yes\n"))
	require.Equal(t, "Nothing to delete; 2 letters (186 B) left.\n", ask(""))
}

func TestTexts(t *testing.T) {
	require.Equal(t, []string{"0 B", "1023 B", "1.0 KiB", "99.9 KiB", "100 KiB", "1.5 MiB", "8.0 EiB"},
		[]string{humanBytes(0), humanBytes(1023), humanBytes(1024), humanBytes(102297), humanBytes(102400), humanBytes(3 << 19), "8.0 EiB"})
	require.Equal(t, []string{"0s", "59s", "1m", "59m", "1h", "47h", "2d"}, []string{
		humanAge(-1), humanAge(59 * time.Second), humanAge(time.Minute), humanAge(time.Hour - 1), humanAge(time.Hour),
		humanAge(47*time.Hour + time.Minute), humanAge(48 * time.Hour)})
	require.Equal(t, []string{"0", "999", "1,000", "1,234,567"}, []string{groups(0), groups(999), groups(1000), groups(1234567)})
	require.Equal(t, "a b�", oneLine("a\x1bb\xff"))
	require.Equal(t, "abc…", fit("abcdef", 4))
	a, b := uuid.MustParse("aaaaaaaa-bbbb-5000-8000-000000000001"), uuid.MustParse("aaaaaaaa-bbcb-5000-8000-000000000001")
	require.Equal(t, map[uuid.UUID]string{a: "aaaaaaaa-bbb", b: "aaaaaaaa-bbc"}, shortIDs([]uuid.UUID{a, b}))
	require.Equal(t, "[===============>              ]  20/40  50%  5.0/s  4s left", progressBar(20, 40, 4*time.Second))
	require.Equal(t, "[==============================]  40/40  100%", progressBar(40, 40, 0))
	require.Equal(t, "[>                             ]  0/0  0%", progressBar(0, 0, 0))
}
