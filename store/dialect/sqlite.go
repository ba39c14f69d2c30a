package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/mattn/go-sqlite3"

	"dalang/store/migrations"
	"dalang/store/query/sqlfunc"
)

// SQLiteConfig is how a SQLite database is opened.
type SQLiteConfig struct {
	Path       string
	Readers    int   // read-only connections; 0: 4 for each core
	CacheBytes int   // page cache of the writer and, divided, of the readers; 0: 32 MiB
	LogBytes   int64 // what the write-ahead log may keep when it starts afresh; 0: 64 MiB
}

// sqlite keeps one writing connection and a pool of read-only ones on the same
// file in WAL mode: readers never wait for the writer, nor it for them.
type sqlite struct {
	path           string
	write          connector
	writer, reader *sql.DB
}

// OpenSQLite opens the database, making it if there is none.
func OpenSQLite(cfg SQLiteConfig) (Dialect, error) {
	if cfg.Readers <= 0 {
		cfg.Readers = 4 * runtime.NumCPU()
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 32 << 20
	}
	if cfg.LogBytes <= 0 {
		cfg.LogBytes = 64 << 20
	}
	// temp_store: a command's savepoint keeps its journal in memory, where it
	// costs no files; it is bounded by what the command changes.
	//
	// synchronous=FULL: a commit that returned has been synced, and the queue
	// deletes a command's file right after. The WAL shrinks back to
	// journal_size_limit; checkpoints run every 2000 pages.
	write := connector{dsn: dsn(cfg.Path, url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"5000"}, "_foreign_keys": {"off"},
		"_cache_size": {fmt.Sprint(-cfg.CacheBytes / 1024)},
	}), pragmas: []string{"PRAGMA wal_autocheckpoint = 2000", fmt.Sprintf("PRAGMA journal_size_limit = %d", cfg.LogBytes), "PRAGMA temp_store = MEMORY"}}
	read := connector{dsn: dsn(cfg.Path, url.Values{
		"_busy_timeout": {"5000"}, "_query_only": {"true"},
		"_cache_size": {fmt.Sprint(-max(cfg.CacheBytes/1024/cfg.Readers, 1024))},
	}), pragmas: []string{readerTemp}}
	d := &sqlite{path: cfg.Path, write: write, writer: sql.OpenDB(write), reader: sql.OpenDB(read)}
	d.writer.SetMaxOpenConns(1)
	d.reader.SetMaxOpenConns(cfg.Readers)
	d.reader.SetMaxIdleConns(cfg.Readers)
	// Without statistics the planner takes the index that a query's order asks
	// for; with them it would rather read and sort a year of reports for a page
	// of ten. Somebody may have run ANALYZE by hand.
	if _, err := d.writer.Exec("DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4"); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	return d, nil
}

// readerTemp lets queries sort and group in temporary files once that outgrows
// the page cache: their size is that of the data, and memory is bounded.
// SQLite puts the files where SQLITE_TMPDIR or TMPDIR says, else in /var/tmp or
// /tmp, and removes their names at once.
const readerTemp = "PRAGMA temp_store = FILE"

func dsn(path string, options url.Values) string {
	escaped := (&url.URL{Path: path}).EscapedPath()
	return "file:" + escaped + "?" + options.Encode()
}

// connector opens connections that carry our pragmas and functions.
type connector struct {
	dsn     string
	pragmas []string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		for _, pragma := range c.pragmas {
			if _, err := conn.Exec(pragma, nil); err != nil {
				return fmt.Errorf("%s: %w", pragma, err)
			}
		}
		if err := conn.RegisterFunc("pdb_unpack", Unpack, true); err != nil {
			return fmt.Errorf("register pdb_unpack: %w", err)
		}
		return sqlfunc.Register(conn)
	}}
}

func (d *sqlite) Writer() *sql.DB { return d.writer }
func (d *sqlite) Reader() *sql.DB { return d.reader }

func (d *sqlite) Migrations() (fs.FS, error) { return fs.Sub(migrations.Files(), "sqlite") }

// Fault: what a statement refuses for its data's sake can never be stored;
// everything else may pass.
func (d *sqlite) Fault(err error) Fault {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return World
	}
	switch e.Code {
	case sqlite3.ErrConstraint, sqlite3.ErrMismatch, sqlite3.ErrTooBig, sqlite3.ErrRange:
		return Data
	}
	return World
}

func (d *sqlite) Sizes(context.Context) map[string]int64 {
	sizes := map[string]int64{}
	for part, suffix := range map[string]string{"database": "", "wal": "-wal"} {
		if info, err := os.Stat(d.path + suffix); err == nil {
			sizes[part] = info.Size()
		}
	}
	return sizes
}

func (d *sqlite) Tables(ctx context.Context, conn *sql.Conn) ([]Table, error) {
	rows, err := conn.QueryContext(ctx, `SELECT t.name, coalesce(i.name, '') FROM sqlite_schema t LEFT JOIN sqlite_schema i ON i.type = 'index' AND i.tbl_name = t.name
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []Table
	for rows.Next() {
		var table, index string
		if err := rows.Scan(&table, &index); err != nil {
			return nil, err
		}
		if len(tables) == 0 || tables[len(tables)-1].Name != table {
			tables = append(tables, Table{Name: table})
		}
		if index != "" {
			last := &tables[len(tables)-1]
			last.Indexes = append(last.Indexes, index)
		}
	}
	return tables, rows.Err()
}

func (d *sqlite) FreeBytes(ctx context.Context, conn *sql.Conn) (int64, error) {
	var pages, size int64
	if err := conn.QueryRowContext(ctx, "SELECT freelist_count, page_size FROM pragma_freelist_count, pragma_page_size").Scan(&pages, &size); err != nil {
		return 0, err
	}
	return pages * size, nil
}

func (d *sqlite) LogBytes(context.Context) int64 {
	info, err := os.Stat(d.path + "-wal")
	if err != nil {
		return 0 // there is none
	}
	return info.Size()
}

// CopyLog uses a connection of its own: the writer goes on with its.
func (d *sqlite) CopyLog(ctx context.Context) error {
	db := sql.OpenDB(d.write)
	_, err := checkpoint(ctx, db, "PASSIVE")
	return errors.Join(err, db.Close())
}

// EmptyLog waits for readers of other processes only shortly: the writer waits
// with it.
func (d *sqlite) EmptyLog(ctx context.Context, conn *sql.Conn) (done bool, err error) {
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 50"); err != nil {
		return false, err
	}
	done, err = checkpoint(ctx, conn, "TRUNCATE")
	_, restore := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = 5000")
	return done && restore == nil, errors.Join(err, restore)
}

// checkpoint tells whether it could do all that its mode asks for.
func checkpoint(ctx context.Context, on interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, mode string) (bool, error) {
	var busy, inLog, copied int
	err := on.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &inLog, &copied)
	return busy == 0, err
}

func (d *sqlite) Close() error {
	var errs []error
	for _, db := range []*sql.DB{d.reader, d.writer} {
		if err := db.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
