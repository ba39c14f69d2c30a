package download

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// entry is one of an archive.
type entry struct {
	tar.Header
	text string
}

func file(name, text string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o7777}, text}
}

func dir(name string) entry {
	return entry{tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0}, ""}
}

func other(kind byte, name, to string) entry {
	return entry{tar.Header{Name: name, Linkname: to, Typeflag: kind}, ""}
}

// archive is a tar file.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		require.NoError(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// wrap packs what is to stand in the gzip stream.
func wrap(t testing.TB, parts ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, part := range parts {
		_, err := w.Write(part)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return packed + base64.StdEncoding.EncodeToString(b.Bytes())
}

// stored is wrap without packing, which is faster.
func stored(t testing.TB, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	require.NoError(t, err)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return packed + base64.StdEncoding.EncodeToString(b.Bytes())
}

// pack is what the command writes for an archive.
func pack(t testing.TB, entries ...entry) string {
	t.Helper()
	return wrap(t, archive(t, entries...), []byte(trailer+"0\n"))
}

// TestHostile: archives that are refused, with all that was in them; nothing is
// written anywhere else.
func TestHostile(t *testing.T) {
	many := []entry{dir("motd")}
	for i := range 50 {
		many = append(many, file(fmt.Sprint("motd/", i), ""))
	}
	again := []entry{dir("motd")}
	for range 60 {
		again = append(again, dir("motd"))
	}
	deep := "motd" + strings.Repeat("/d", 49)
	heads := []entry{dir("motd")}
	for i := range 3 {
		heads = append(heads, file(fmt.Sprint("motd/", i), ""))
		heads[i+1].PAXRecords = map[string]string{"DALANG.x": strings.Repeat("y", 1<<19)}
	}
	for name, c := range map[string]struct {
		entries    []entry
		code, want string
	}{
		"above":                {[]entry{file("../motd", "x")}, codeArchive, `a name with .. in it, "../motd"`},
		"up and down":          {[]entry{dir("motd"), file("motd/../../motd", "x")}, codeArchive, "a name with .. in it"},
		"within":               {[]entry{dir("motd"), file("motd/../motd/x", "x")}, codeArchive, "a name with .. in it"},
		"absolute":             {[]entry{file("/etc/passwd", "x")}, codeArchive, `a name that is not of 'motd', "/etc/passwd"`},
		"absolute, below":      {[]entry{file("/motd", "x")}, codeArchive, "a name that is not of 'motd'"},
		"another root":         {[]entry{file("motd", "x"), file("other", "x")}, codeArchive, `a name that is not of 'motd', "other"`},
		"nearly":               {[]entry{file("motd2", "x")}, codeArchive, "a name that is not of 'motd'"},
		"the directory":        {[]entry{dir(".")}, codeArchive, "a name that is not of 'motd'"},
		"symbolic link":        {[]entry{other(tar.TypeSymlink, "motd", "/etc/passwd")}, codeArchive, `a symbolic link, "motd"`},
		"through a link":       {[]entry{dir("motd"), other(tar.TypeSymlink, "motd/l", "../.."), file("motd/l/x", "x")}, codeArchive, "a symbolic link"},
		"link out":             {[]entry{other(tar.TypeLink, "motd", "/etc/passwd")}, codeArchive, "a name that is not of 'motd'"},
		"link up":              {[]entry{other(tar.TypeLink, "motd", "../../../etc/passwd")}, codeArchive, "a name with .. in it"},
		"link to nothing":      {[]entry{dir("motd"), other(tar.TypeLink, "motd/a", "motd/b")}, codeArchive, `a link to what is not in it, "motd/b"`},
		"link to itself":       {[]entry{other(tar.TypeLink, "motd", "motd")}, codeArchive, "a link to what is not in it"},
		"link to a directory":  {[]entry{dir("motd"), other(tar.TypeLink, "motd/a", "motd")}, codeArchive, "a link to what is not in it"},
		"device":               {[]entry{other(tar.TypeBlock, "motd", "")}, codeArchive, `"motd" is neither a file nor a directory`},
		"character device":     {[]entry{other(tar.TypeChar, "motd", "")}, codeArchive, "is neither"},
		"fifo":                 {[]entry{other(tar.TypeFifo, "motd", "")}, codeArchive, "is neither"},
		"twice":                {[]entry{file("motd", "x"), file("motd", "y")}, codeArchive, `a name twice, "motd"`},
		"file, then directory": {[]entry{file("motd", "x"), dir("motd")}, codeArchive, "a name twice"},
		"directory, then file": {[]entry{dir("motd"), file("motd", "x")}, codeArchive, "a name twice"},
		"below a file":         {[]entry{file("motd", "x"), file("motd/a", "x")}, codeArchive, "a name twice"},
		"too many":             {many, codeLimit, "more than 50 files and directories"},
		"again and again":      {again, codeLimit, "more than 50 files and directories"},
		"directories unnamed":  {[]entry{file(deep+"/a/b", "x")}, codeLimit, "more than 50 files and directories"},
		"too deep":             {[]entry{file("motd"+strings.Repeat("/d", 101), "x")}, codeLimit, "directories nest at most 100 deep"},
		"too long":             {[]entry{dir("motd"), file("motd"+strings.Repeat("/"+strings.Repeat("d", 200), 10), "x")}, codeLimit, "names within it have at most 2000 bytes"},
		"too large":            {[]entry{file("motd", strings.Repeat("x", 1<<20+1))}, codeLimit, "more than 1048576 bytes"},
		"too large together":   {[]entry{dir("motd"), file("motd/a", strings.Repeat("x", 1<<19)), file("motd/b", strings.Repeat("x", 1<<19+1))}, codeLimit, "more than 1048576 bytes"},
		"too large by links":   {[]entry{dir("motd"), file("motd/a", strings.Repeat("x", 1<<19)), other(tar.TypeLink, "motd/b", "motd/a"), other(tar.TypeLink, "motd/c", "motd/a")}, codeLimit, "more than 1048576 bytes"},
		"headers":              {heads, codeLimit, "the archive has more than"},
		"nothing":              {nil, codeArchive, "the archive is empty"},
		"long name":            {[]entry{dir("motd"), file("motd/"+strings.Repeat("n", 300), "x")}, codeWrite, "name too long"},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeper(t, nil)
			r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, job.Outcome{State: job.Finished, Stdout: pack(t, c.entries...)}))
			require.Equal(t, c.code, r.Error.Code, r.Error.Msg)
			require.Contains(t, r.Error.Msg, c.want)
			require.Less(t, len(r.Error.Msg), 600)
			require.Empty(t, files(t, filepath.Dir(k.dir)))
		})
	}
}

// TestBomb: what unpacks to far more than it is costs no more than the limit.
func TestBomb(t *testing.T) {
	k := keeper(t, nil)
	head := archive(t, file("motd", ""))[:512]
	zeros := make([]byte, 1<<20)
	var parts [][]byte
	for range 64 {
		parts = append(parts, zeros)
	}
	for name, first := range map[string][]byte{"after the end": head, "no header": nil} {
		r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"},
			job.Outcome{State: job.Finished, Stdout: wrap(t, append([][]byte{first}, parts...)...)}))
		require.Equal(t, codeLimit, r.Error.Code, name)
	}
	require.Empty(t, files(t, filepath.Dir(k.dir)))
}

// TestTar: how tar ended counts, whatever it wrote.
func TestTar(t *testing.T) {
	k := keeper(t, nil)
	whole := archive(t, file("motd", trailer+"9\n"))
	for end, want := range map[string]string{
		trailer + "0\n": "", trailer + "tar: ./motd: file changed as we read it\n1\n": "",
		trailer + "1\n": "tar ended with status 1: ",
		trailer + "tar: ./motd: file changed as we read it\ntar: ./x: Cannot open: Permission denied\n1\n": "status 1: tar: ./motd: file changed as we read it\ntar: ./x: Cannot open",
		trailer + "tar: ./motd: file changed as we read it\n2\n":                                           "tar ended with status 2",
		trailer + "tar: x\n127\n": "tar ended with status 127: tar: x", "": "tar ended with status",
		trailer: "tar ended with status",
	} {
		o := job.Outcome{State: job.Finished, Stdout: wrap(t, whole, []byte(end))}
		r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o))
		if want == "" {
			require.Empty(t, r.Error.Msg)
			continue
		}
		require.Equal(t, codeRead, r.Error.Code, "%q", end)
		require.Contains(t, r.Error.Msg, want)
	}
	for text, want := range map[string]string{
		"": "READ_ERROR tar ended with status 2: tar: ./motd: Cannot open", strings.Repeat("x", 2000): "READ_ERROR tar ended with status 2: tar: ./motd",
	} {
		o := job.Outcome{State: job.Finished, Stdout: wrap(t, []byte(text+trailer+"tar: ./motd: Cannot open\n2\n"))}
		r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o))
		require.Contains(t, r.Error.Code+" "+r.Error.Msg[strings.Index(r.Error.Msg, "web1: ")+6:], want)
	}
	o := job.Outcome{State: job.Finished, Stdout: wrap(t, archive(t, file("motd", "x")))}
	require.Contains(t, read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o)).Error.Msg, "it does not say how tar ended")
}

// FuzzReceive: whatever a node sends, what is kept is plain files and
// directories of few bytes below its own name, and nothing else is anywhere.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(pack(f, file("motd", "x"))), false)
	for _, entries := range [][]entry{{file("motd", "x")}, {dir("motd"), file("motd/a", "x"), other(tar.TypeLink, "motd/b", "motd/a")},
		{dir("motd"), other(tar.TypeSymlink, "motd/l", ".."), file("motd/l/x", "x")}, {file("../motd", "x")}} {
		f.Add(archive(f, entries...), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, inside bool) {
		k := keeper(t, func(c *Config) { c.Limits = Limits{Bytes: 4096, Files: 5, Spare: 1} })
		o := job.Outcome{State: job.Finished, Stdout: string(sent)}
		if inside {
			o.Stdout = stored(t, append(sent, trailer+"0\n"...))
		}
		r := read(t, k.Receive(t.Context(), 7, "web1", job.Download{Source: "/etc/motd", Destination: "d"}, o))
		var bytes, n int
		for name, text := range files(t, filepath.Dir(k.dir)) {
			require.True(t, strings.HasPrefix(name+"/", "downloads/7/d/web1/motd/"), name)
			bytes, n = bytes+len(text), n+1
		}
		require.LessOrEqual(t, bytes, 4096)
		require.LessOrEqual(t, n, 5)
		_, err := os.Lstat(filepath.Join(k.dir, "7/d/web1/motd"))
		require.Equal(t, r.Error.Kind == "", err == nil)
	})
}
