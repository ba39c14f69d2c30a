package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"dalang/store/dialect"
	"dalang/store/migrations"
)

// Reader reads a database that a server may have open at the same time, and
// changes nothing in it. It is safe for concurrent use.
type Reader struct {
	*readers
	tidy func()
}

// OlderSchemaError: the database was written by an earlier version of Dalang,
// and only a server brings it up to date.
type OlderSchemaError struct{ Have, Want int }

func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, but this version of dalang reads version %d: start 'dalang serve' once, which brings it up to date", e.Have, e.Want)
}

// OpenReader opens the database in a file. It answers an *OlderSchemaError or a
// *NewerSchemaError when the file is one of another version.
func OpenReader(ctx context.Context, file string) (*Reader, error) {
	db, tidy, err := dialect.OpenSQLiteReadOnly(ctx, dialect.SQLiteConfig{Path: file})
	if err != nil {
		return nil, err
	}
	if err := checkVersion(ctx, db, file); err != nil {
		err = errors.Join(err, db.Close())
		tidy()
		return nil, err
	}
	return &Reader{newReaders(db, 0), tidy}, nil
}

func checkVersion(ctx context.Context, db *sql.DB, file string) error {
	var have int
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&have)
	if err != nil {
		return fmt.Errorf("%s is no database of dalang: %w", file, err)
	}
	want, err := latestVersion()
	switch {
	case err != nil:
		return err
	case have < want:
		return &OlderSchemaError{have, want}
	case have > want:
		return &NewerSchemaError{have, want}
	}
	return nil
}

// latestVersion is that of the schema which this program makes.
func latestVersion() (int, error) {
	names, err := fs.Glob(migrations.Files(), "sqlite/*.sql") // sorted by fs.Glob
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("no migrations: %w", err)
	}
	number, _, _ := strings.Cut(path.Base(names[len(names)-1]), "_")
	return strconv.Atoi(number)
}

// ReadTx runs fn on one connection, in one snapshot.
func (r *Reader) ReadTx(ctx context.Context, fn func(ctx context.Context, conn *sql.Conn) error) error {
	return r.readTx(ctx, fn)
}

// Close closes the connections, and leaves no file that was not there before.
func (r *Reader) Close() error {
	err := r.db.Close()
	r.tidy()
	return err
}
