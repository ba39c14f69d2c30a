package main

import (
	"context"
	"database/sql"
	"errors"

	"dalang/server/pdb"
	"dalang/store"
)

// janitor is the store as the admin API sees it.
type janitor struct{ store *store.Store }

func (j janitor) Clean(ctx context.Context, ops []pdb.CleanOp) error {
	list := make([]store.CleanOp, len(ops))
	for i, op := range ops {
		list[i] = store.CleanOp(op)
	}
	err := j.store.Clean(ctx, list)
	if errors.Is(err, store.ErrBusy) {
		return pdb.ErrCleaning
	}
	return err
}

func (j janitor) DeleteNode(ctx context.Context, certname string) error {
	return j.store.DeleteNode(ctx, certname)
}

func (j janitor) SummaryStats(ctx context.Context) (map[string]any, error) {
	return j.store.SummaryStats(ctx)
}

func (a *app) population(ctx context.Context) (pdb.Population, error) {
	p, err := a.store.Population(ctx)
	return pdb.Population(p), err
}

// readable tells whether the database answers queries.
func (a *app) readable(ctx context.Context) error {
	return a.store.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var one int
		return conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	})
}

// alerts are what an operator should know.
func (a *app) alerts() []string {
	if err := a.queue.Available(); err != nil {
		return []string{"commands are not accepted: " + err.Error()}
	}
	return nil
}
