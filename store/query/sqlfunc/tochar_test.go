package sqlfunc

import (
	"database/sql"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

func TestToChar(t *testing.T) {
	at := time.Date(2026, 1, 6, 3, 4, 5, 6e6, time.UTC).UnixMilli()
	for mask, want := range map[string]string{
		"YYYY": "2026", "YY\"x\"MM": "26x01", "HH24:MI:SS": "03:04:05", "DAY": "TUESDAY  ", "FMDAY": "TUESDAY", "Day": "Tuesday  ", "FMDay": "Tuesday", "month": "january  ",
		"YYYY-MM-DD": "2026-01-06", "FMDD": "6", "Mon": "Jan", "HH12 AM": "03 AM", "Q": "1", "MS": "006", "DDD": "006",
	} {
		got, err := ToChar(at, mask, "t")
		require.NoError(t, err)
		require.Equal(t, want, got, mask)
	}
	for _, c := range []struct {
		x          any
		mask, want string
	}{
		{int64(10000), "999999", "  10000"}, {int64(-5), "999", "  -5"}, {"4000", "FM9999", "4000"}, {1.5, "FM990.00", "1.5"}, {1.5, "990.00", "   1.50"}, {int64(12345), "999", " ###"}, {int64(7), "000", " 007"},
	} {
		got, err := ToChar(c.x, c.mask, "n")
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.mask)
	}
	got, err := ToChar(nil, "x", "t")
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestPathMatcher(t *testing.T) {
	for _, c := range []struct {
		patterns, path string
		want           bool
	}{
		{`[false,"net.*","ip"]`, `["networking","ip6"]`, true}, {`[true,"net.*","ip"]`, `["networking","ip6"]`, false}, {`[true,"net.*","ip6?"]`, `["networking","ip"]`, true},
		{`[false,"a"]`, `["a","b"]`, false}, {`[false,"a","3"]`, `["a",3]`, false}, {`[false,"a","3"]`, `["a","3"]`, true}, {`[false,"a",3]`, `["a",3]`, true}, {`[false,"a",".*"]`, `["a",3]`, true}, {`[false]`, `["a"]`, false},
		{`[false,"a",1]`, `["ab",10]`, true}, {`[false,"a",1]`, `["a","1"]`, false}, {`[false,"a","1"]`, `["a","x10"]`, true}, {`[true,"a",1]`, `["a",10]`, false}, {`[true,"a",1]`, `["a",1]`, true},
	} {
		m, err := NewPathMatcher(c.patterns)
		require.NoError(t, err)
		got, err := m.Match(c.path)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%s ~> %s", c.path, c.patterns)
	}
	_, err := NewPathMatcher(`[false,"*"]`)
	require.EqualError(t, err, "ERROR: invalid regular expression: "+errQuantifier)
}

func TestRegister(t *testing.T) {
	sql.Register("sqlite3_sqlfunc", &sqlite3.SQLiteDriver{ConnectHook: Register})
	db, err := sql.Open("sqlite3_sqlfunc", ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for expr, want := range map[string]any{
		`pdb_regexp('b+','abc')`: int64(1), `pdb_regexp('b+',NULL)`: nil, `pdb_json_key('1') = pdb_json_key('1.0')`: int64(1), `pdb_json_contains('[1]','1')`: int64(1),
		`pdb_json_text('"x"')`: "x", `pdb_json_text('null')`: nil, `pdb_json_path('{"a":10.0}','["a"]')`: "10.0", `pdb_json_path('{}','["a"]')`: nil,
		`pdb_path_match('["a",0]','[false,"a",".*"]')`: int64(1), `pdb_path_key('["a"]') < pdb_path_key('["a","b"]')`: int64(1), `pdb_to_char(0,'YYYY','t')`: "1970",
	} {
		var got any
		require.NoError(t, db.QueryRow("SELECT "+expr).Scan(&got), expr)
		require.Equal(t, want, got, expr)
	}
	var x any
	require.ErrorContains(t, db.QueryRow(`SELECT pdb_regexp('*','x')`).Scan(&x), "quantifier operand invalid")
}

func BenchmarkRegexpFunc(b *testing.B) {
	db, err := sql.Open("sqlite3_sqlfunc_bench", ":memory:")
	if err != nil {
		sql.Register("sqlite3_sqlfunc_bench", &sqlite3.SQLiteDriver{ConnectHook: Register})
		db, err = sql.Open("sqlite3_sqlfunc_bench", ":memory:")
	}
	require.NoError(b, err)
	defer func() { _ = db.Close() }()
	for b.Loop() {
		var n int
		require.NoError(b, db.QueryRow(`WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<10000) SELECT count(*) FROM c WHERE pdb_regexp('99$', 'host-' || x)`).Scan(&n))
	}
}
