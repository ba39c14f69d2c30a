package main

import (
	"context"
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

// writable tells whether the database takes changes: commands find out when
// there are any, the store tries when there are none.
func (a *app) writable(ctx context.Context) error {
	if err := a.processor.StoreErr(); err != nil {
		return err
	}
	return a.store.Writable(ctx)
}

// alerts are what an operator should know.
func (a *app) alerts() []string {
	if err := a.queue.Available(); err != nil {
		return []string{"commands are not accepted: " + err.Error()}
	}
	return nil
}
