package commands

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// Processor takes commands in, keeps them in a queue and brings them into the
// store. Its methods may be called from many goroutines.
type Processor struct {
	cfg      Config
	pending  *pending
	finished *finished
	cache    *bodyCache
	buffers  buffers
	texts    *wireformat.CatalogTexts
	metrics  *processorMetrics

	decoded chan *work          // from the workers to the committer
	settled chan settled        // from the committer to those who end commands
	ahead   *semaphore.Weighted // bytes that are decoded and not committed yet
	verify  chan struct{}       // a place for each body whose checksum is being computed
	coming  atomic.Int32        // commands that are being received or decoded
	closing atomic.Bool         // refuses submissions
	form    atomic.Int32        // the wireformat.DigestForm that was right last

	mu       sync.Mutex
	storeErr error // of the last access of the store
}

// rememberedTexts is how many certnames' catalogs are known again: 200 bytes each.
const rememberedTexts = 100_000

// New makes a processor of a queue that holds loaded, as queue.Open listed it.
// It accepts at once; Run works.
func New(cfg Config, loaded []queue.Entry) (*Processor, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	p := &Processor{
		cfg: cfg, pending: newPending(), finished: newFinished(cfg.RememberFor, cfg.RememberCount),
		cache: newBodyCache(cfg.CacheBytes), decoded: make(chan *work, max(cfg.BatchCommands, 1)),
		settled: make(chan settled, max(cfg.BatchCommands, 1)), ahead: semaphore.NewWeighted(cfg.BatchBytes),
		verify: make(chan struct{}, cfg.Verifiers), texts: wireformat.NewCatalogTexts(rememberedTexts),
	}
	p.metrics = newMetrics(cfg.Registerer, p)
	for _, e := range loaded {
		p.pending.add(&item{entry: e})
		p.metrics.queued.WithLabelValues(string(e.Meta.Command), versionLabel(e.Meta)).Inc()
	}
	return p, nil
}

// Run brings commands into the store until ctx ends, and returns when what
// was in flight then is settled, or DrainTime is over. From then on
// submissions are refused.
func (p *Processor) Run(ctx context.Context) error {
	// Work that has begun may go on for DrainTime after the end of ctx.
	flight, land := context.WithCancel(context.WithoutCancel(ctx))
	defer land()
	stop := context.AfterFunc(ctx, func() {
		p.closing.Store(true)
		time.AfterFunc(p.cfg.DrainTime, land)
	})
	defer stop()
	var workers, others errgroup.Group
	for range p.cfg.Threads {
		workers.Go(func() error { p.workLoop(ctx, flight); return nil })
	}
	others.Go(func() error { p.commitLoop(ctx, flight); return nil })
	for range 2 {
		others.Go(func() error { p.settleLoop(flight); return nil })
	}
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	others.Go(func() error { p.probeQueue(probing); return nil })
	err := workers.Wait()
	p.closing.Store(true) // the function above may not have run yet
	close(p.decoded)
	stopProbing()
	return errors.Join(err, others.Wait())
}

// Status tells what is known of a command.
func (p *Processor) Status(id uuid.UUID) (Status, bool) {
	if s, ok := p.pending.status(id); ok {
		return s, true
	}
	return p.finished.get(id, p.cfg.Now())
}

// Depth is the number of commands that have not left the queue.
func (p *Processor) Depth() int {
	all, _ := p.pending.depth()
	return all
}

// OldestQueued tells when the oldest command in the queue was received.
func (p *Processor) OldestQueued() (time.Time, bool) { return p.pending.oldest() }

// StoreErr tells what the last access of the store failed with; nil: it worked.
func (p *Processor) StoreErr() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.storeErr
}

func (p *Processor) setStoreErr(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.storeErr = err
}

// Bounds of the pause between tries that fail by the world's fault.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

// pause is how long to wait after so many failed tries: twice as long each
// time, give or take a quarter.
func pause(failed int) time.Duration {
	d := lastPause
	if failed < 12 {
		d = min(firstPause<<max(failed-1, 0), lastPause)
	}
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2))
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// probeQueue tries a disk that refused until it takes writes again.
func (p *Processor) probeQueue(ctx context.Context) {
	for failed := 1; ; failed++ {
		if p.cfg.Queue.Available() == nil {
			failed = 1
		} else if p.cfg.Queue.Probe(ctx) == nil {
			failed = 1
		}
		if !sleep(ctx, min(pause(failed+2), 5*time.Second)) {
			return
		}
	}
}
