package orchestrator

import (
	"context"
	"sync"

	"dalang/orchestrator/job"
)

// mailbox is a queue without a bound: whoever puts never waits. What is in it
// is bounded by what was asked for.
type mailbox[T any] struct {
	mu     sync.Mutex
	items  []T
	signal chan struct{} // has a value when items may be there
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{signal: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(item T) {
	m.mu.Lock()
	m.items = append(m.items, item)
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

func (m *mailbox[T]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items)
}

// courier takes orders to one transport, in their order, so that the loop
// never waits for it.
type courier struct {
	transport job.Transport
	engine    *Engine
	orders    *mailbox[order]
}

// order is what a transport is to do.
type order struct {
	do      func(job.Transport, context.Context, job.Request) error
	request job.Request
	final   bool // nobody wants to know of an error
}

func (c *courier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.orders.signal:
		}
		for _, o := range c.orders.take() {
			if ctx.Err() != nil {
				return
			}
			if err := o.do(c.transport, ctx, o.request); err != nil && ctx.Err() == nil && !o.final {
				c.engine.Error(o.request.Certname, o.request.TransactionID, err)
			}
		}
	}
}
