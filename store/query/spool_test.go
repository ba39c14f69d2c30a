package query_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store/query"
	"dalang/wireformat"
)

// told is a DB that tells when a read has ended.
type told struct {
	query.DB
	ended chan struct{}
}

func (d told) ReadTx(ctx context.Context, fn func(context.Context, *sql.Conn) error) error {
	err := d.DB.ReadTx(ctx, fn)
	d.ended <- struct{}{}
	return err
}

// large fills a store so that all facts are an answer of some megabytes.
func large(t *testing.T) (db told, dir string, all int) {
	t.Helper()
	_, st := open(t, nil)
	all = 200
	var list []wireformat.Payload
	for i := range all {
		list = append(list, facts(fmt.Sprintf("n%03d", i), "f", `"`+strings.Repeat(string(rune('a'+i%26)), 10_000)+`"`))
	}
	load(t, st, list...)
	return told{st, make(chan struct{}, 1000)}, t.TempDir(), all
}

// TestSlowClients: clients that take one row and wait hold no connection and
// no turn. They get everything, in order, when they go on.
func TestSlowClients(t *testing.T) {
	db, dir, all := large(t)
	e, err := query.New(query.Config{DB: db, MaxConcurrent: 2, SpoolDir: dir})
	require.NoError(t, err)
	ask := query.Request{Entity: "facts", Query: parse(t, `["extract",["certname","value"],["=","name","f"]]`)}
	var want rows
	require.NoError(t, e.Run(t.Context(), ask, &want))
	require.Len(t, want.list, all)
	<-db.ended

	const clients = 64
	goOn := make(chan struct{})
	var slow sync.WaitGroup
	for range clients {
		slow.Go(func() {
			got := rows{}
			got.each = func() error {
				if len(got.list) == 1 {
					<-goOn
				}
				return nil
			}
			if err := e.Run(context.Background(), ask, &got); err != nil {
				t.Error(err)
			}
			if len(got.list) != all || strings.Join(got.list, "") != strings.Join(want.list, "") {
				t.Errorf("%d rows", len(got.list))
			}
		})
	}
	for range clients {
		<-db.ended // though not one client has taken more than a row
	}
	quick := rows{}
	require.NoError(t, e.Run(t.Context(), query.Request{Entity: "nodes"}, &quick))
	require.Len(t, quick.list, all)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "files have no names that a crash would leave")
	close(goOn)
	slow.Wait()
	require.Zero(t, e.InSpools())
}

// TestClientFails: a sink that fails ends the query.
func TestClientFails(t *testing.T) {
	db, dir, _ := large(t)
	e, err := query.New(query.Config{DB: db, SpoolDir: dir})
	require.NoError(t, err)
	gone := errors.New("gone")
	got := rows{each: func() error { return gone }}
	require.ErrorIs(t, e.Run(t.Context(), query.Request{Entity: "facts"}, &got), gone)
	require.Len(t, got.list, 1)
	<-db.ended
	require.Zero(t, e.InSpools())
}

// TestNoRoomForASpool: without a file the query waits for its client.
func TestNoRoomForASpool(t *testing.T) {
	db, dir, all := large(t)
	e, err := query.New(query.Config{DB: db, SpoolDir: dir + "/none"})
	require.NoError(t, err)
	got := rows{}
	got.each = func() error {
		if len(got.list) == 1 {
			select {
			case <-db.ended:
				t.Error("the rows cannot all be in memory")
			default:
			}
		}
		return nil
	}
	require.NoError(t, e.Run(t.Context(), query.Request{Entity: "facts"}, &got))
	require.Len(t, got.list, all)
}
