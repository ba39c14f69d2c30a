package commands

import (
	"sync"

	"github.com/google/uuid"
)

// bodyCache keeps decompressed bodies between acceptance, where the checksum
// made somebody decompress them, and the worker, who need not do it again. It
// is a matter of time only: what does not fit is read from the queue.
type bodyCache struct {
	mu     sync.Mutex
	limit  int64
	bytes  int64
	bodies map[uuid.UUID][]byte
}

func newBodyCache(limit int64) *bodyCache {
	return &bodyCache{limit: limit, bodies: map[uuid.UUID][]byte{}}
}

// room tells whether a body of some bytes would be kept now.
func (c *bodyCache) room(bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes+bytes <= c.limit
}

func (c *bodyCache) put(id uuid.UUID, body []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes+int64(cap(body)) > c.limit {
		return false
	}
	c.bodies[id] = body
	c.bytes += int64(cap(body))
	return true
}

func (c *bodyCache) take(id uuid.UUID) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, ok := c.bodies[id]
	if ok {
		delete(c.bodies, id)
		c.bytes -= int64(cap(body))
	}
	return body, ok
}

// buffers lends the memory of bodies, so that large ones are not garbage each time.
type buffers struct{ pool sync.Pool }

// keepBuffer is the largest buffer that is worth keeping.
const keepBuffer = 4 << 20

func (b *buffers) get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return (*buf)[:0]
	}
	return make([]byte, 0, 256<<10)
}

func (b *buffers) put(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= keepBuffer {
		b.pool.Put(&buf)
	}
}
