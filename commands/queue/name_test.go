package queue_test

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dalang/commands/queue"
	"dalang/wireformat"
)

func hash(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestNames: spec commands.md §4.1 and §10.
func TestNames(t *testing.T) {
	r := time.UnixMilli(1714000000123)
	long := strings.Repeat("a", 300)
	for _, c := range []struct {
		what, certname string
		producer       time.Time
		gzip           bool
		want           string
	}{
		{"the spec's example", "web01.example", r.Add(-250 * time.Millisecond), true, "1714000000123-250_facts_5_web01.example.json.gz"},
		{"produced 5 s before", "foo", r.Add(-5 * time.Second), false, "1714000000123-5000_facts_5_foo.json"},
		{"produced then", "foo", r, false, "1714000000123+0_facts_5_foo.json"},
		{"produced 5 s later", "foo", r.Add(5 * time.Second), false, "1714000000123+5000_facts_5_foo.json"},
		{"no time of production", "foo", time.Time{}, false, "1714000000123_facts_5_foo.json"},
		{"parts of milliseconds are dropped", "foo", r.Add(999 * time.Microsecond), false, "1714000000123+0_facts_5_foo.json"},
		{"another zone", "foo", r.In(time.FixedZone("", 3600)), false, "1714000000123+0_facts_5_foo.json"},
		{"underscore", "host_0", time.Time{}, false, "1714000000123_facts_5_host-0_" + hash("host_0") + ".json"},
		{"all that is forbidden", "a/b\\c:d\x00e_f", time.Time{}, true, "1714000000123_facts_5_a-b-c-d-e-f_" + hash("a/b\\c:d\x00e_f") + ".json.gz"},
		{"dots and dashes stay", "..-.json.gz", time.Time{}, false, "1714000000123_facts_5_..-.json.gz.json"},
		{"beyond ASCII stays", "žába.例え", time.Time{}, false, "1714000000123_facts_5_žába.例え.json"},
		{"bad UTF-8 is changed", "a\xffb", time.Time{}, false, "1714000000123_facts_5_a\ufffdb_" + hash("a\xffb") + ".json"},
		{"longest that fits", long[:235-27], time.Time{}, false, "1714000000123_facts_5_" + long[:235-27] + ".json"},
		{"one byte more", long[:235-26], time.Time{}, false, "1714000000123_facts_5_" + long[:235-27-41] + "_" + hash(long[:235-26]) + ".json"},
		{"no half characters", strings.Repeat("é", 150), time.Time{}, true,
			"1714000000123_facts_5_" + strings.Repeat("é", (235-30-41)/2) + "_" + hash(strings.Repeat("é", 150)) + ".json.gz"},
	} {
		m := queue.NewMeta(wireformat.ReplaceFacts, 5, c.certname, r, c.producer, c.gzip)
		require.Equal(t, c.want, m.Name(), c.what)
		require.LessOrEqual(t, len(m.Name()), 235, c.what)
		e := queue.Entry{ID: 17, Meta: m}
		require.Equal(t, "17-"+c.want, e.Name(), c.what)
		id, back, err := queue.ParseName(e.Name())
		require.NoError(t, err, c.what)
		require.Equal(t, uint64(17), id)
		require.Equal(t, m, back, c.what)
	}
}

func TestTags(t *testing.T) {
	for command, tag := range map[wireformat.Command]string{
		"replace facts": "facts", "replace catalog": "catalog", "store report": "report",
		"deactivate node": "rm-node", "configure expiration": "set-expire", "replace catalog inputs": "inputs",
	} {
		m := queue.NewMeta(command, 3, "foo", epoch, time.Time{}, false)
		require.Contains(t, m.Name(), "_"+tag+"_3_foo.json")
		_, back, err := queue.ParseName("0-" + m.Name())
		require.NoError(t, err)
		require.Equal(t, command, back.Command)
	}
}

// notNames are files that somebody else put there.
var notNames = []string{
	"", "1", "1-", "-", "x", "foreign", "lost+found", ".nfs0001", "README",
	"1-2_facts_5", "1-2_facts_5_", "1-2_facts_5_foo", "1-2_facts_5_foo.gz", "1-2_facts_5_foo.json.bz2", "1-2_facts_5_.json",
	"1-2_tea_5_foo.json", "1-2_facts_x_foo.json", "1-2_facts_-5_foo.json", "1-2_facts_05_foo.json", "1-2_facts_+5_foo.json",
	"1-2_facts_99999999999999999999_foo.json",
	"01-2_facts_5_foo.json", "+1-2_facts_5_foo.json", "-1-2_facts_5_foo.json", "1-02_facts_5_foo.json",
	"9223372036854775808-2_facts_5_foo.json", "99999999999999999999-2_facts_5_foo.json",
	"1-_facts_5_foo.json", "1-x_facts_5_foo.json", "1-2+_facts_5_foo.json", "1-2-0_facts_5_foo.json", "1-2+05_facts_5_foo.json",
	"1-2+3+4_facts_5_foo.json", "1-2_facts_5_foo_bar.json", "1-2_facts_5_foo_" + strings.Repeat("0", 39) + ".json",
	"1-2_facts_5_foo_" + strings.Repeat("g", 40) + ".json", "1-2_facts_5_foo_" + strings.Repeat("0", 40) + "_x.json",
	"1-2_facts_5_a/b.json", "1-2_facts_5_a\x00b.json", "1-2_facts_5_foo.json_err.json", "tmp-1", "1-2_facts_5_foo.json ",
}

func TestNotNames(t *testing.T) {
	for _, name := range notNames {
		_, _, err := queue.ParseName(name)
		require.Error(t, err, name)
		require.ErrorContains(t, err, "is not a queue file's name", name)
	}
}

// TestEveryNameLeadsBack: whatever a submitter says, Open understands the name
// and a file system takes it.
func TestEveryNameLeadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(wireformat.Commands()).Draw(t, "command")
		certname := rapid.OneOf(rapid.StringN(1, -1, 400), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 400), func(b []byte) string { return string(b) })).Draw(t, "certname")
		at := func(label string) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, label))
		}
		producer := time.Time{}
		if rapid.Bool().Draw(t, "produced") {
			producer = at("producer")
		}
		e := queue.Entry{ID: rapid.Uint64Range(0, 1<<63-1).Draw(t, "id")}
		e.Meta = queue.NewMeta(v.Command, rapid.IntRange(0, 1<<31-1).Draw(t, "version"), certname, at("received"), producer, rapid.Bool().Draw(t, "gzip"))
		name := e.Name()
		require.LessOrEqual(t, len(e.Meta.Name()), 235)
		require.LessOrEqual(t, len(name), 255)
		require.True(t, utf8.ValidString(name))
		id, back, err := queue.ParseName(name)
		require.NoError(t, err)
		require.Equal(t, e, queue.Entry{ID: id, Meta: back})
	})
}

// FuzzParseName: an accepted name leads back to its file.
func FuzzParseName(f *testing.F) {
	for _, name := range notNames {
		f.Add(name)
	}
	spool, err := os.ReadDir(spoolDir + "/q")
	require.NoError(f, err)
	for _, file := range spool {
		f.Add(file.Name())
	}
	f.Fuzz(func(t *testing.T, name string) {
		id, m, err := queue.ParseName(name)
		if err != nil {
			require.Zero(t, m)
			return
		}
		require.Equal(t, name, queue.Entry{ID: id, Meta: m}.Name())
		require.NotContains(t, name, "/")
		require.NotEmpty(t, m.Certid)
	})
}

func BenchmarkParseName(b *testing.B) {
	m, _ := command(1)
	name := queue.Entry{ID: 12345, Meta: m}.Name()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := queue.ParseName(name); err != nil {
			b.Fatal(err)
		}
	}
}
