package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"dalang/cmd/internal/client"
	"dalang/orchestrator/rbac"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
	"dalang/store"
)

// accessData is a data directory whose tokens, users and roles are worked on.
// The database may be open in a server, which sees each change with its next
// request; SQLite keeps their writes apart.
type accessData struct {
	client *client.Client // speaks to the API of this process
	store  *store.Store
}

// openAccess opens the database of a data directory, or the file itself. It
// makes none and brings none up to date: that is the server's, under the user
// that the server runs as.
func openAccess(ctx context.Context, path string, now func() time.Time) (*accessData, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, "dalang.db")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database %s: start 'dalang serve' once, which makes it", path)
	}
	look, err := store.OpenReader(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := look.Close(); err != nil {
		return nil, err
	}
	d := &accessData{}
	if d.store, err = store.Open(ctx, store.Config{Path: path, CacheBytes: 1 << 20, Now: now}); err != nil {
		return nil, err
	}
	if err := d.connect(now); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	return d, nil
}

// connect makes a client of the server's own handlers.
func (d *accessData) connect(now func() time.Time) error {
	access, err := rbac.New(rbac.Config{Store: d.store, Mode: rbac.Off, Now: now})
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		Listen: "127.0.0.1:0", Maintenance: &pdb.Maintenance{}, // never listened on
		Handlers: server.Handlers{Orchestrator: []server.Companion{orch.NewRBAC(access, orch.NewAuth(access))}},
	})
	if err != nil {
		return err
	}
	d.client, err = client.New(client.Config{URLs: []string{"http://localhost"}, Transport: direct{s.Handler()}})
	return err
}

// Close closes the database.
func (d *accessData) Close() error { return d.store.Close() }

// direct brings requests to a handler, without a network.
type direct struct{ handler http.Handler }

// RoundTrip answers a request by the handler. The body of the answer is held.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	d.handler.ServeHTTP(w, r)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answerBuffer is a response that stays in memory.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerBuffer) Header() http.Header         { return w.header }
func (w *answerBuffer) WriteHeader(status int)      { w.status = status }
func (w *answerBuffer) Write(b []byte) (int, error) { return w.body.Write(b) }
