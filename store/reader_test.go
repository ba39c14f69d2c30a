package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"dalang/store"
)

func names(t *testing.T, r interface {
	ReadTx(context.Context, func(context.Context, *sql.Conn) error) error
}) (list []string) {
	t.Helper()
	require.NoError(t, r.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, "SELECT certname FROM node ORDER BY 1")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			list = append(list, s)
		}
		return rows.Err()
	}))
	return list
}

const someFacts = `{"certname":"a","environment":"e","producer":"p","producer_timestamp":"2026-01-01T00:00:00Z","values":{"x":1}}`

// TestReader: the same rows from a database that is open elsewhere and from
// one at rest, which stays as it is.
func TestReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dalang.db")
	s, err := store.Open(t.Context(), store.Config{Path: file, ReportTTL: long})
	require.NoError(t, err)
	apply(t, s, "replace facts", 5, someFacts)
	r, err := store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(t, r))
	require.Error(t, r.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "DELETE FROM node")
		return err
	}))
	require.NoError(t, r.Close())
	require.NoError(t, s.Close())

	before, err := os.ReadFile(file)
	require.NoError(t, err)
	r, err = store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(t, r))
	require.NoError(t, r.Close())
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, before, after)
	for _, suffix := range []string{"-wal", "-shm"} {
		require.NoFileExists(t, file+suffix, "it was not there before")
	}

	// A directory in which nothing can be made.
	dir := filepath.Dir(file)
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { require.NoError(t, os.Chmod(dir, 0o700)) })
	r, err = store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(t, r))
	require.NoError(t, r.Close())
}

// TestReaderLeavesALog: what was there before a reader is no affair of its,
// and neither is what somebody who came later has open.
func TestReaderLeavesALog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dalang.db")
	s, err := store.Open(t.Context(), store.Config{Path: file, ReportTTL: long})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	r, err := store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	s, err = store.Open(t.Context(), store.Config{Path: file, ReportTTL: long})
	require.NoError(t, err)
	apply(t, s, "replace facts", 5, someFacts)
	require.NoError(t, r.Close())
	require.FileExists(t, file+"-wal")
	r, err = store.OpenReader(t.Context(), file)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(t, r))
	require.NoError(t, r.Close())
	require.FileExists(t, file+"-wal")
	require.NoError(t, s.Close())
}

func TestReaderRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := store.OpenReader(t.Context(), filepath.Join(dir, "none.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = store.OpenReader(t.Context(), dir)
	require.ErrorContains(t, err, "is a directory")
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("no database at all, but some text"), 0o600))
	_, err = store.OpenReader(t.Context(), text)
	require.ErrorContains(t, err, "not a database")

	other, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "other.db"))
	require.NoError(t, err)
	exec := func(text string) {
		_, err := other.Exec(text)
		require.NoError(t, err)
	}
	exec("CREATE TABLE t (x)")
	_, err = store.OpenReader(t.Context(), filepath.Join(dir, "other.db"))
	require.ErrorContains(t, err, "is no database of dalang")
	exec("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
	exec("INSERT INTO schema_version VALUES (1, '')")
	var older *store.OlderSchemaError
	_, err = store.OpenReader(t.Context(), filepath.Join(dir, "other.db"))
	require.ErrorAs(t, err, &older)
	exec("INSERT INTO schema_version VALUES (1000, '')")
	var newer *store.NewerSchemaError
	_, err = store.OpenReader(t.Context(), filepath.Join(dir, "other.db"))
	require.ErrorAs(t, err, &newer)
	require.NoError(t, other.Close())
}

// TestReadersTakeTurns: connections go to those who wait, in order.
func TestReadersTakeTurns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dalang.db")
	s, err := store.Open(t.Context(), store.Config{Path: file})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	synctest.Test(t, func(t *testing.T) {
		r, err := store.OpenReader(t.Context(), file)
		require.NoError(t, err)
		const waiting = 8
		begun, end := make(chan int, 1000), make(chan struct{})
		var clients sync.WaitGroup
		for i := range runtime.NumCPU() + waiting {
			clients.Go(func() {
				require.NoError(t, r.ReadTx(t.Context(), func(context.Context, *sql.Conn) error {
					begun <- i
					<-end
					return nil
				}))
			})
			synctest.Wait()
		}
		require.Len(t, begun, runtime.NumCPU())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.ReadTx(ctx, nil), context.Canceled)
		for i := range runtime.NumCPU() + waiting {
			require.Equal(t, i, <-begun)
			end <- struct{}{}
			synctest.Wait()
		}
		clients.Wait()
		require.NoError(t, r.Close())
	})
}
