// Package dialect holds what differs between databases, and nothing else: how
// to open one, how to tell whose fault an error is, which migrations apply.
package dialect

import (
	"context"
	"database/sql"
	"io/fs"
)

// Fault is whose fault a database error is.
type Fault int

// An error is the world's (a locked, full, broken or unreachable database:
// wait and try again) unless the data itself can never be stored.
const (
	World Fault = iota
	Data
)

// Table is a table with the names of its indexes.
type Table struct {
	Name    string
	Indexes []string
}

// Dialect is one kind of database.
type Dialect interface {
	// Writer is a pool of one connection that may write.
	Writer() *sql.DB
	// Reader is a pool of connections that cannot write; reads in one
	// transaction see one snapshot and never block the writer.
	Reader() *sql.DB
	// Migrations are the schema's steps, in order of their names.
	Migrations() (fs.FS, error)
	// Fault classifies an error that a statement gave.
	Fault(err error) Fault
	// Sizes are the bytes that the database takes on disk, by part.
	Sizes(ctx context.Context) map[string]int64
	// Tables are all tables with their indexes, by name.
	Tables(ctx context.Context, conn *sql.Conn) ([]Table, error)
	// FreeBytes are those of the database's file that hold nothing any more and
	// are used again before the file grows.
	FreeBytes(ctx context.Context, conn *sql.Conn) (int64, error)
	// LogBytes is the size of the log of changes that Sizes calls wal. Cheap.
	LogBytes(ctx context.Context) int64
	// CopyLog brings what the log holds into the database as far as those who
	// read from it allow. Nobody waits for it.
	CopyLog(ctx context.Context) error
	// EmptyLog copies the rest and makes the log short; false when somebody
	// still reads from it. conn is the writer's, which waits.
	EmptyLog(ctx context.Context, conn *sql.Conn) (bool, error)
	// Close closes both pools.
	Close() error
}
