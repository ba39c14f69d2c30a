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
// the files that SQLite shares between processes (-wal, -shm).
//
// Where those cannot be made (a directory that is not ours to write to), the
// database is read as a file that does not change, if nobody has it open: then
// neither of them exists.
func OpenSQLiteReadOnly(ctx context.Context, cfg SQLiteConfig) (*sql.DB, error) {
	info, err := os.Stat(cfg.Path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open database: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("open database: %s is a directory", cfg.Path)
	}
	if cfg.Readers <= 0 {
		cfg.Readers = runtime.NumCPU()
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 32 << 20
	}
	options := url.Values{"mode": {"ro"}, "_query_only": {"true"}, "_busy_timeout": {"5000"},
		"_cache_size": {fmt.Sprint(-max(cfg.CacheBytes/1024/cfg.Readers, 1024))}}
	db, err := openReadOnly(ctx, cfg, options)
	if err == nil || exists(cfg.Path+"-wal") || exists(cfg.Path+"-shm") {
		return db, err
	}
	options.Set("immutable", "1")
	return openReadOnly(ctx, cfg, options)
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
