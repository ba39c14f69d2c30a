package commands

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"dalang/commands/outcome"
)

// commitLoop brings decoded commands into the store, as many at a time as are
// there, until the workers have ended.
func (p *Processor) commitLoop(ctx, flight context.Context) {
	for first := range p.decoded {
		batch := p.gather(first)
		p.commit(ctx, flight, batch)
		for _, w := range batch {
			p.release(w)
		}
	}
	close(p.settled)
}

// gather takes what else is ready, and waits a little for what is on its way:
// a commit costs the same for one command as for many.
func (p *Processor) gather(first *work) []*work {
	batch := append(make([]*work, 0, 8), first)
	bytes := first.bytes
	enough := time.NewTimer(p.cfg.BatchWait)
	defer enough.Stop()
	for len(batch) < p.cfg.BatchCommands && bytes <= p.cfg.BatchBytes/2 { // the other half is for the workers meanwhile
		if len(p.decoded) == 0 && p.coming.Load() == 0 && !p.pending.hasReady() {
			return batch
		}
		select {
		case w, ok := <-p.decoded:
			if !ok {
				return batch
			}
			batch = append(batch, w)
			bytes += w.bytes
		case <-enough.C:
			return batch
		}
	}
	return batch
}

// commit applies a batch, waiting for the store for as long as it takes: an
// outage is not a failure of the commands, and everybody waits in order. Once
// ctx has ended it is not waited for: the commands stay in the queue.
func (p *Processor) commit(ctx, flight context.Context, batch []*work) {
	for failed := 1; ; failed++ {
		results, err := p.apply(flight, batch)
		if err == nil {
			p.setStoreErr(nil)
			for i, w := range batch {
				p.settled <- settled{w, results[i]}
			}
			return
		}
		var bug *panicked
		if errors.As(err, &bug) {
			p.culprit(ctx, flight, batch, bug)
			return
		}
		p.setStoreErr(err)
		for _, w := range batch {
			p.noteFailure(flight, w.item, err)
			p.notify(w.item, Waited{Processed: true, Err: err, Stack: []string{err.Error()}})
		}
		for again := failed; ; again++ {
			if !sleep(ctx, pause(again)) {
				return
			}
			if p.cfg.Store.Probe(flight) == nil {
				break
			}
		}
		for _, w := range batch {
			p.pending.resumed(w.item, p.cfg.Now())
		}
	}
}

// apply is Store.Apply; a panic becomes an error.
func (p *Processor) apply(ctx context.Context, batch []*work) (results []outcome.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, string(debug.Stack())}
		}
	}()
	changes := make([]outcome.Change, len(batch))
	for i, w := range batch {
		changes[i] = outcome.Change{Payload: w.payload, Received: w.item.entry.Meta.Received}
	}
	return p.cfg.Store.Apply(ctx, changes)
}

// culprit finds the command of a batch that made the store panic, by applying
// each alone. It is the command's end, and nobody else's.
func (p *Processor) culprit(ctx, flight context.Context, batch []*work, bug *panicked) {
	if len(batch) == 1 {
		w := batch[0]
		p.discard(ctx, flight, w.item, w.began, outcome.CausePanic, outcome.Fatal(outcome.CausePanic, bug))
		return
	}
	for _, w := range batch {
		p.commit(ctx, flight, []*work{w})
	}
}

// settled is a command that the store has dealt with.
type settled struct {
	work   *work
	result outcome.Result
}

// settleLoop ends commands that the store has dealt with. Letting go of a file
// may wait for the disk; the committer goes on meanwhile.
func (p *Processor) settleLoop(flight context.Context) {
	for s := range p.settled {
		p.settle(flight, s.work, s.result)
	}
}

// settle ends a command that the store has dealt with.
func (p *Processor) settle(flight context.Context, w *work, result outcome.Result) {
	p.pending.named(w.item, w.payload.Node())
	if result.Err != nil {
		p.endOrRetry(flight, flight, w.item, w.began, result.Err)
		return
	}
	p.finish(flight, w.item, w.began, State(result.Status), result.Hash, puppetVersion(w.payload))
}

// describe is what every log line about a command says.
func (p *Processor) describe(it *item) []slog.Attr {
	m := it.entry.Meta
	certname := it.certname
	if certname == "" {
		certname = m.Certid
	}
	return []slog.Attr{slog.String("uuid", it.entry.UUID.String()), slog.Uint64("id", it.entry.ID),
		slog.String("command", string(m.Command)), slog.Int("version", m.Version), slog.String("certname", certname)}
}
