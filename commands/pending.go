package commands

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// item is one command in the queue: a reference, not its body.
type item struct {
	entry    queue.Entry
	client   string // who submitted it; "" after a restart
	attempts []queue.Attempt

	// The rest is guarded by pending.mu. Whoever has the item in work may read
	// it without: nobody else writes it then, obsolete and waiters excepted.
	certname string // as submitted, then of the payload; "" after a restart
	obsolete bool   // a newer one of its kind was queued behind it, or before
	state    State
	tries    int
	started  time.Time
	failure  string // of the latest try
	waiters  []chan<- Waited
}

// line is the commands of one certname, in order of their ids. One of them is
// in work at a time.
type line struct {
	certid string
	items  []*item
	busy   bool // the head is in work, or waits for its next try
	place  int  // in the heap; -1 when not ready
}

// kindOf is what a newer command may supersede an older one of.
type kindOf struct {
	command wireformat.Command
	certid  string
}

// pending is the index of the queue in memory: which command is whose turn.
// All methods are safe for concurrent use.
type pending struct {
	mu     sync.Mutex
	lines  map[string]*line
	ready  readyLines
	byUUID map[uuid.UUID]*item
	newest map[kindOf]*item // that have a producer timestamp
	wake   chan struct{}    // holds a token when ready may have grown
	retry  int              // items that wait for their next try
}

func newPending() *pending {
	return &pending{lines: map[string]*line{}, byUUID: map[uuid.UUID]*item{}, newest: map[kindOf]*item{}, wake: make(chan struct{}, 1)}
}

// add puts an item in its line. superseded tells that it, or one before it,
// became obsolete (spec commands.md §4.5).
func (p *pending) add(it *item) (superseded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it.state = StateQueued
	superseded = p.supersede(it)
	p.byUUID[it.entry.UUID] = it
	l := p.lines[it.entry.Meta.Certid]
	if l == nil {
		l = &line{certid: it.entry.Meta.Certid, place: -1}
		p.lines[l.certid] = l
	}
	at := len(l.items)
	for at > 0 && l.items[at-1].entry.ID > it.entry.ID && (at > 1 || !l.busy) {
		at-- // submitters of one certname may overtake each other on their way here
	}
	l.items = slices.Insert(l.items, at, it)
	if !l.busy {
		p.makeReady(l)
	}
	return superseded
}

// supersede compares an item with the newest of its kind in the queue: of two
// only the one produced later is applied, and the first of two equal ones.
func (p *pending) supersede(it *item) bool {
	m := it.entry.Meta
	if m.Producer.IsZero() || m.Command != wireformat.ReplaceFacts && m.Command != wireformat.ReplaceCatalog {
		return false
	}
	kind := kindOf{m.Command, m.Certid}
	other := p.newest[kind]
	switch {
	case other == nil:
		p.newest[kind] = it
		return false
	case m.Producer.After(other.entry.Meta.Producer):
		other.obsolete = true
		p.newest[kind] = it
	default:
		it.obsolete = true
	}
	return true
}

func (p *pending) makeReady(l *line) {
	if l.place >= 0 {
		heap.Fix(&p.ready, l.place)
	} else {
		heap.Push(&p.ready, l)
	}
	p.signal()
}

func (p *pending) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next waits for a command whose turn it is and marks it as in work. It is
// false when ctx has ended.
func (p *pending) next(ctx context.Context, now func() time.Time) (*item, bool) {
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		if it := p.take(now()); it != nil {
			return it, true
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-p.wake:
		}
	}
}

func (p *pending) take(now time.Time) *item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil
	}
	l := heap.Pop(&p.ready).(*line)
	if len(p.ready) > 0 {
		p.signal() // somebody else may have a turn too
	}
	l.busy = true
	it := l.items[0]
	it.state, it.started = StateProcessing, now
	it.tries++
	return it
}

// failed notes a try that failed by the world's fault. The item keeps its
// place in line; again gives it the next turn.
func (p *pending) failed(it *item, at time.Time, reason string) []queue.Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.state != StateRetrying {
		p.retry++
	}
	it.state, it.failure = StateRetrying, reason
	it.attempts = append(it.attempts, queue.Attempt{At: at, Error: reason})
	if n := len(it.attempts); n > maxAttemptsKept {
		it.attempts = slices.Delete(it.attempts, 1, n-maxAttemptsKept+1) // the first one stays
	}
	return slices.Clone(it.attempts)
}

// maxAttemptsKept bounds the memory of a command that is tried for days.
const maxAttemptsKept = 20

// resumed marks an item whose failed try goes on without leaving its worker.
func (p *pending) resumed(it *item, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if it.state == StateRetrying {
		p.retry--
	}
	it.state, it.started = StateProcessing, now
	it.tries++
}

// again gives a failed item its next turn.
func (p *pending) again(it *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[it.entry.Meta.Certid]
	if it.state == StateRetrying {
		p.retry--
	}
	it.state = StateQueued
	l.busy = false
	p.makeReady(l)
}

// remove takes an item out, the head of its line, and gives its line the next turn.
func (p *pending) remove(it *item) []chan<- Waited {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byUUID, it.entry.UUID)
	kind := kindOf{it.entry.Meta.Command, it.entry.Meta.Certid}
	if p.newest[kind] == it {
		delete(p.newest, kind)
	}
	if it.state == StateRetrying {
		p.retry--
	}
	l := p.lines[it.entry.Meta.Certid]
	l.items[0] = nil
	l.items = l.items[1:]
	l.busy = false
	if len(l.items) == 0 {
		delete(p.lines, l.certid)
	} else {
		p.makeReady(l)
	}
	return it.waiters
}

// named notes the certname that an item's payload gave.
func (p *pending) named(it *item, certname string) {
	if certname == "" || certname == it.certname {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	it.certname = strings.Clone(certname) // a piece of the payload, which it outlives
}

// isObsolete tells whether an item was superseded meanwhile.
func (p *pending) isObsolete(it *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return it.obsolete
}

// notified takes the waiters of an item, which hear of its first try only.
func (p *pending) notified(it *item) []chan<- Waited {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiters := it.waiters
	it.waiters = nil
	return waiters
}

// hasReady tells whether some command's turn has come.
func (p *pending) hasReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) > 0
}

func (p *pending) depth() (all, retrying int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byUUID), p.retry
}

// oldest is the time of receipt of the command that waits longest.
func (p *pending) oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var oldest time.Time
	for _, l := range p.lines {
		if at := l.items[0].entry.Meta.Received; oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest, !oldest.IsZero()
}

// status describes an item that is still in the queue.
func (p *pending) status(id uuid.UUID) (Status, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it, ok := p.byUUID[id]
	if !ok {
		return Status{}, false
	}
	return it.status(), true
}

// status must be called with pending.mu held, or by the item's last holder.
func (it *item) status() Status {
	m := it.entry.Meta
	s := Status{
		UUID: it.entry.UUID, Command: string(m.Command), Version: m.Version, Certname: it.certname, State: it.state,
		Received: Timestamp{m.Received.UTC()}, ProducerTimestamp: timestampOrNil(m.Producer),
		Attempts: it.tries, Started: timestampOrNil(it.started),
	}
	if s.Certname == "" {
		s.Certname = m.Certid
	}
	if it.failure != "" {
		failure := it.failure
		s.Error = &failure
	}
	return s
}

// readyLines is a heap of the lines whose head may be worked on, by its id.
type readyLines []*line

func (r readyLines) Len() int           { return len(r) }
func (r readyLines) Less(i, j int) bool { return r[i].items[0].entry.ID < r[j].items[0].entry.ID }
func (r readyLines) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = i, j
}
func (r *readyLines) Push(x any) {
	l := x.(*line)
	l.place = len(*r)
	*r = append(*r, l)
}
func (r *readyLines) Pop() any {
	old := *r
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	l.place = -1
	return l
}
