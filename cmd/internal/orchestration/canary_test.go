package orchestration

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"dalang/store"
)

// canaries are secrets that can be told from everything else: all of them begin
// with the same random letters, their names follow. The signs behind are such
// that need quotes somewhere.
type canaries struct {
	prefix string

	mu      sync.RWMutex
	needles map[string][]byte // form to what it looks like
}

func newCanaries() *canaries {
	c := &canaries{prefix: rand.Text()[:20], needles: map[string][]byte{}}
	c.look("", c.prefix)
	return c
}

// value is the secret of a name, of lower-case letters.
func (c *canaries) value(name string) string { return c.prefix + name + `.0"'\$<é` }

// look has a text searched for, in all the forms that it may have.
func (c *canaries) look(name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	utf := make([]byte, 0, 2*len(text))
	for _, unit := range utf16.Encode([]rune(text)) {
		utf = append(utf, byte(unit), byte(unit>>8))
	}
	for form, needle := range map[string]string{"plain": text, "hex": hex.EncodeToString([]byte(text)),
		"HEX": strings.ToUpper(hex.EncodeToString([]byte(text))), "UTF-16": string(utf)} {
		c.needles[name+form] = []byte(needle)
	}
	for kind, coding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for before := range 3 { // bytes that share a group with the first ones
			coded := coding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
			c.needles[fmt.Sprintf("%sbase64 %d.%d", name, kind, before)] = []byte(coded[4 : len(coded)-4])
		}
	}
}

// find answers the forms of secrets in data, also where it is packed, and the
// names of those that are there in the clear.
func (c *canaries) find(data []byte) (forms, names []string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.within(data)
}

func (c *canaries) within(data []byte) (forms, names []string) {
	for form, needle := range c.needles {
		if !bytes.Contains(data, needle) {
			continue
		}
		if form != "plain" {
			forms = append(forms, form)
			continue
		}
		for _, m := range regexp.MustCompile(c.prefix+`([a-z]*)`).FindAllSubmatch(data, -1) {
			names = append(names, string(m[1]))
		}
	}
	for _, packed := range unpack(data) {
		inner, clear := c.within(packed)
		forms = append(append(forms, inner...), clear...)
	}
	return forms, names
}

// unpack finds what is packed in data by gzip or zstd.
func unpack(data []byte) (all [][]byte) {
	const most = 64 << 20
	for magic, open := range map[string]func(io.Reader) (io.Reader, error){
		"\x1f\x8b\x08":     func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"\x28\xb5\x2f\xfd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
	} {
		for rest := data; ; {
			at := bytes.Index(rest, []byte(magic))
			if at < 0 {
				break
			}
			rest = rest[at:]
			if r, err := open(bytes.NewReader(rest)); err == nil {
				text, _ := io.ReadAll(io.LimitReader(r, most)) // what comes before an error counts
				if len(text) > 0 {
					all = append(all, text)
				}
			}
			rest = rest[len(magic):]
		}
	}
	return all
}

// none requires that data has no secret, but for some in the clear.
func (c *canaries) none(t *testing.T, where string, data []byte, except ...string) {
	t.Helper()
	forms, names := c.find(data)
	require.Empty(t, forms, where)
	for _, name := range names {
		require.Contains(t, except, name, "the secret %s is in %s", name, where)
	}
}

// nowhere requires that no file below dir has a secret; except names those that
// a file may have.
func (c *canaries) nowhere(t *testing.T, dir string, except func(path string, d fs.DirEntry) []string) {
	t.Helper()
	looked := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c.none(t, "the name of "+path, []byte(path))
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		looked++
		c.none(t, path, text, except(path, d)...)
		return err
	}))
	t.Logf("looked into %d files", looked)
}

// rows requires that no value in a database has a secret. What is long may lie
// in pieces in its file.
func (c *canaries) rows(t *testing.T, file string) {
	t.Helper()
	r, err := store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	defer r.Close()
	read := func(ctx context.Context, conn *sql.Conn, query string, each func([]any)) error {
		rows, err := conn.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			each(values)
		}
		return rows.Err()
	}
	var tables []string
	sealed := 0
	require.NoError(t, r.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		if err := read(ctx, conn, "SELECT name FROM sqlite_master WHERE type = 'table'", func(v []any) { tables = append(tables, fmt.Sprint(v[0])) }); err != nil {
			return err
		}
		for _, table := range tables {
			if err := read(ctx, conn, `SELECT * FROM "`+table+`"`, func(values []any) {
				for _, v := range values {
					if blob, ok := v.([]byte); ok {
						sealed++
						c.none(t, "table "+table, blob)
						continue
					}
					c.none(t, "table "+table, []byte(fmt.Sprint(v)))
				}
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Contains(t, tables, "job_secret")
	require.Positive(t, sealed)
}

// TestCanaries: what is hidden is found.
func TestCanaries(t *testing.T) {
	c := newCanaries()
	secret := c.value("x")
	pack := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	for i, hidden := range [][]byte{[]byte(secret), []byte(hex.EncodeToString([]byte(secret))), []byte(base64.StdEncoding.EncodeToString([]byte("a" + secret))),
		[]byte(base64.RawURLEncoding.EncodeToString([]byte("ab" + secret))), pack("so " + secret), encoder.EncodeAll([]byte("so "+secret), []byte("before")),
		pack(string(pack(secret)))} {
		forms, names := c.find(append([]byte("something "), hidden...))
		require.NotEmpty(t, append(forms, names...), i)
	}
	forms, names := c.find([]byte(`{"a": "nothing"}`))
	require.Empty(t, append(forms, names...))
}
