package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"dalang/store/dialect"
)

// writer is the one connection that writes, with its prepared statements and
// the names it has seen. It belongs to whoever holds Store.mu.
type writer struct {
	ctx   context.Context // of the transaction that runs
	db    dialect.Dialect
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	names names
	noted bool // reports were noted for jobs, and nobody has been told
	now   func() time.Time
	last  *writeResult // whether the last transaction could begin and be committed; anybody may ask
}

func newWriter(ctx context.Context, db dialect.Dialect, cfg Config) (*writer, error) {
	w := &writer{db: db, stmts: map[string]*sql.Stmt{}, names: newNames(cfg.Names), now: cfg.Now, last: &writeResult{}}
	return w, w.connect(ctx)
}

func (w *writer) connect(ctx context.Context) error {
	conn, err := w.db.Writer().Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	w.conn = conn
	return nil
}

// connected connects again after a connection was dropped.
func (w *writer) connected(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	return w.connect(ctx)
}

func (w *writer) close() error {
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	clear(w.stmts)
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
		w.conn = nil
	}
	return errors.Join(errs...)
}

// transaction runs fn in one write transaction; an error of fn undoes it all.
func (w *writer) transaction(ctx context.Context, fn func() error) (err error) {
	if err := w.connected(ctx); err != nil {
		w.last.set(w.now(), err)
		return err
	}
	// What was begun is finished: a context that ends in between must not
	// leave half a batch.
	w.ctx = context.WithoutCancel(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := w.conn.ExecContext(w.ctx, "BEGIN IMMEDIATE"); err != nil {
		err = w.broken(fmt.Errorf("begin: %w", err))
		w.last.set(w.now(), err)
		return err
	}
	committed := false
	defer func() {
		if !committed { // an error, or a panic on its way up
			w.names.forget()
			if _, rollback := w.conn.ExecContext(w.ctx, "ROLLBACK"); rollback != nil {
				_ = w.broken(driver.ErrBadConn)
			}
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if _, err := w.conn.ExecContext(w.ctx, "COMMIT"); err != nil {
		err = fmt.Errorf("commit: %w", err)
		w.last.set(w.now(), err)
		return err
	}
	committed = true
	w.last.set(w.now(), nil)
	return nil
}

// savepoint runs fn so that its error undoes only what fn did.
func (w *writer) savepoint(fn func() error) error {
	if err := w.exec("SAVEPOINT one"); err != nil {
		return err
	}
	released := false
	defer func() {
		if !released {
			w.names.forget()
			_ = w.exec("ROLLBACK TO one")
			_ = w.exec("RELEASE one")
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if err := w.exec("RELEASE one"); err != nil {
		return err
	}
	released = true
	return nil
}

// broken drops a connection that can no longer be trusted.
func (w *writer) broken(err error) error {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		_ = w.close()
		w.names.forget()
	}
	return err
}

func (w *writer) stmt(text string) (*sql.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", text, err)
	}
	w.stmts[text] = s
	return s, nil
}

// exec runs a statement, which stays prepared: only texts of a fixed set may
// come here.
func (w *writer) exec(text string, args ...any) error {
	_, err := w.execResult(text, args...)
	return err
}

func (w *writer) execResult(text string, args ...any) (sql.Result, error) {
	s, err := w.stmt(text)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(w.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%.60q: %w", text, err)
	}
	return result, nil
}

// row reads one row into dest; found is false when there is none.
func (w *writer) row(text string, args []any, dest ...any) (found bool, err error) {
	s, err := w.stmt(text)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(w.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%.60q: %w", text, err)
	}
	return true, nil
}

// rows calls each for every row that scan has read.
func (w *writer) rows(text string, args []any, each func(scan func(dest ...any) error) error) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(w.ctx, args...)
	if err != nil {
		return fmt.Errorf("%.60q: %w", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
