package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
)

// OpenSQLiteReadOnly opens a pool of read-only connections to a database that
// is there already, whether a server has it open or not. It changes nothing but
// the files that SQLite shares between processes (-wal, -shm). Those that were
// not there before, tidy takes away again; call it when the pool is closed.
//
// Where those cannot be made (a directory that is not ours to write to), the
// database is read as a file that does not change, if nobody has it open: then
// neither of them exists.
func OpenSQLiteReadOnly(ctx context.Context, cfg SQLiteConfig) (db *sql.DB, tidy func(), err error) {
	info, err := os.Stat(cfg.Path)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("open database: %w", err)
	case info.IsDir():
		return nil, nil, fmt.Errorf("open database: %s is a directory", cfg.Path)
	}
	if cfg.Readers <= 0 {
		cfg.Readers = runtime.NumCPU()
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 32 << 20
	}
	options := url.Values{"mode": {"ro"}, "_query_only": {"true"}, "_busy_timeout": {"5000"},
		"_cache_size": {fmt.Sprint(-max(cfg.CacheBytes/1024/cfg.Readers, 1024))}}
	tidy = func() {}
	if !exists(cfg.Path + "-wal") {
		tidy = func() { removeLog(cfg.Path) }
	}
	db, err = openReadOnly(ctx, cfg, options)
	if err == nil {
		return db, tidy, nil
	}
	tidy()
	if exists(cfg.Path+"-wal") || exists(cfg.Path+"-shm") {
		return nil, nil, err
	}
	options.Set("immutable", "1")
	db, err = openReadOnly(ctx, cfg, options)
	return db, func() {}, err
}

// removeLog has SQLite remove -wal and -shm, as it does when the last connection
// is closed that may write. Whoever else has the database open keeps them: no
// file is removed by name. That they stay is no error.
func removeLog(path string) {
	if !exists(path + "-wal") {
		return
	}
	db := sql.OpenDB(connector{dsn: dsn(path, url.Values{"mode": {"rw"}, "_busy_timeout": {"0"}})})
	var tables int
	_ = db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables) // opens the log
	_ = db.Close()
}

func openReadOnly(ctx context.Context, cfg SQLiteConfig, options url.Values) (*sql.DB, error) {
	db := sql.OpenDB(connector{dsn: dsn(cfg.Path, options), pragmas: []string{readerTemp}})
	db.SetMaxOpenConns(cfg.Readers)
	db.SetMaxIdleConns(cfg.Readers)
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", cfg.Path, err), db.Close())
	}
	return db, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
