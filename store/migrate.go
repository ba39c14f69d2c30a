package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"dalang/store/dialect"
)

// NewerSchemaError: the database was written by a later version of Dalang.
type NewerSchemaError struct{ Have, Know int }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d but this version of dalang knows only up to %d: use the newer dalang, or restore a backup", e.Have, e.Know)
}

// migrate brings the schema up to date, each step in a transaction of its own.
func migrate(ctx context.Context, d dialect.Dialect) error {
	steps, err := d.Migrations()
	if err != nil {
		return err
	}
	names, err := fs.Glob(steps, "*.sql") // sorted by fs.Glob
	if err != nil {
		return err
	}
	conn, err := d.Writer().Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL)"); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	var have int
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&have); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	last := 0
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("migration %s has no number", name)
		}
		last = version
		if version <= have {
			continue
		}
		text, err := fs.ReadFile(steps, name)
		if err != nil {
			return err
		}
		if err := step(ctx, conn, version, name, string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	if have > last {
		return &NewerSchemaError{have, last}
	}
	return nil
}

func step(ctx context.Context, conn *sql.Conn, version int, name, text string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES (?1, ?2)", version, name); err != nil {
		return err
	}
	return tx.Commit()
}
