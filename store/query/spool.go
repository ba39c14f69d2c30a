package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A client that reads slowly must not hold a connection, nor a snapshot, which
// keeps the database's log from being shortened. So the rows of a query go
// through a spool: some memory and, for as long as the client does not keep up,
// a temporary file. The query itself runs at the database's speed; what is left
// then has no turn and no connection any more.
const (
	spoolChunk  = 32 << 10  // bytes that are handed over at a time
	spoolMemory = 128 << 10 // bytes of one answer in memory
	spoolWait   = 50 * time.Millisecond
	spoolTotal  = 1 << 30 // bytes of all answers in files; from there on queries wait for their clients
)

// spool is one answer on its way to the client. One goroutine puts chunks,
// another takes them.
type spool struct {
	dir    string
	inUse  *atomic.Int64 // bytes in the files of all spools
	waited time.Duration // by put, for memory to become free

	chunk []byte // rows that are not put yet: length and text of each

	mu         sync.Mutex
	memory     [][]byte // older than what the file holds
	bytes      int      // in memory
	file       *os.File
	read, size int64 // of the file
	ended      bool
	failed     error // why it has ended

	more, room chan struct{} // told when there is something to take, and after it was taken
}

func newSpool(dir string, inUse *atomic.Int64) *spool {
	return &spool{dir: dir, inUse: inUse, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// row adds a row.
func (s *spool) row(ctx context.Context, json []byte) error {
	s.chunk = append(binary.AppendUvarint(s.chunk, uint64(len(json))), json...)
	if len(s.chunk) < spoolChunk {
		return nil
	}
	return s.flush(ctx)
}

// flush hands over what row has gathered.
func (s *spool) flush(ctx context.Context) error {
	chunk := s.chunk
	if len(chunk) == 0 {
		return ctx.Err()
	}
	s.chunk = nil
	for {
		if s.put(chunk) {
			tell(s.more)
			return ctx.Err()
		}
		start := time.Now()
		pause := spoolWait - s.waited
		if pause <= 0 { // the files hold too much, or there is none
			pause = spoolWait
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-s.room:
		case <-wait.C:
		}
		wait.Stop()
		s.waited += time.Since(start)
	}
}

// put keeps a chunk in memory or, when the client had its time, in the file.
func (s *spool) put(chunk []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == s.size && (s.bytes == 0 || s.bytes+len(chunk) <= spoolMemory) {
		s.memory = append(s.memory, chunk)
		s.bytes += len(chunk)
		return true
	}
	if s.read == s.size && s.waited < spoolWait || s.inUse.Load() > spoolTotal {
		return false
	}
	return s.write(chunk) == nil // without a file it waits for the client
}

func (s *spool) write(chunk []byte) error {
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "answer-*")
		if err != nil {
			return err
		}
		s.file = file
		_ = os.Remove(file.Name()) // it lives as long as it is open
	}
	if _, err := s.file.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(len(chunk))), s.size); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(chunk, s.size+4); err != nil {
		return err
	}
	s.size += int64(len(chunk)) + 4
	s.inUse.Add(int64(len(chunk)) + 4)
	return nil
}

// take waits for the next chunk; nil: there is no more. When the query has
// failed, that is the answer, whatever is left.
func (s *spool) take() ([]byte, error) {
	for {
		chunk, ended, err := s.next()
		if chunk != nil || ended || err != nil {
			tell(s.room)
			return chunk, err
		}
		<-s.more
	}
}

func (s *spool) next() (chunk []byte, ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return nil, true, s.failed
	case len(s.memory) > 0:
		chunk, s.memory = s.memory[0], s.memory[1:]
		s.bytes -= len(chunk)
		return chunk, false, nil
	case s.read == s.size:
		return nil, s.ended, nil
	}
	var head [4]byte
	if _, err := s.file.ReadAt(head[:], s.read); err != nil {
		return nil, false, fmt.Errorf("read a spooled answer: %w", err)
	}
	chunk = make([]byte, binary.LittleEndian.Uint32(head[:]))
	if _, err := s.file.ReadAt(chunk, s.read+4); err != nil {
		return nil, false, fmt.Errorf("read a spooled answer: %w", err)
	}
	s.read += int64(len(chunk)) + 4
	if s.read == s.size { // it begins anew, small
		s.inUse.Add(-s.size)
		s.read, s.size = 0, 0
		err = s.file.Truncate(0)
	}
	return chunk, false, err
}

// end says that no chunk will come, because the query has ended or failed.
func (s *spool) end(failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.failed = true, failed
	tell(s.more)
}

// close frees the file. Nobody puts or takes any more.
func (s *spool) close() {
	if s.file != nil {
		s.inUse.Add(-s.size)
		_ = s.file.Close()
	}
}

// spooled is the sink that a query writes to.
type spooled struct {
	*spool
	ctx  context.Context // of the query
	head *Head           // read when a chunk was taken or the spool has ended
}

func (s *spooled) Begin(h Head) error {
	*s.head = h
	return nil
}

func (s *spooled) Row(json []byte) error { return s.row(s.ctx, json) }

// deliver runs a query on a goroutine of its own, until ctx ends, and hands its
// rows to sink, until client ends. It returns when both have ended. An error of
// the query discards what the client has not taken yet; one of the sink ends
// the query.
func (e *Engine) deliver(ctx, client context.Context, sink Sink, query func(ctx context.Context, out Sink) error) error {
	s := newSpool(e.cfg.SpoolDir, &e.inSpools)
	defer s.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var head Head
	ended := make(chan error, 1) // its panic, if that was the end
	go func() {
		failed := errors.New("the query has panicked")
		defer func() {
			var bug error
			if p := recover(); p != nil {
				bug = fmt.Errorf("%v\n%s", p, debug.Stack())
			}
			s.end(failed)
			ended <- bug
		}()
		if failed = query(ctx, &spooled{s, ctx, &head}); failed == nil {
			failed = s.flush(ctx)
		}
	}()
	err := s.drain(client, sink, &head)
	stop()
	if bug := <-ended; bug != nil {
		panic(bug)
	}
	return err
}

// drain hands rows to the sink until there are no more.
func (s *spool) drain(client context.Context, sink Sink, head *Head) error {
	for begun := false; ; begun = true {
		chunk, err := s.take()
		if err != nil {
			return err
		}
		if !begun {
			if err := sink.Begin(*head); err != nil {
				return err
			}
		}
		if chunk == nil {
			return nil
		}
		for len(chunk) > 0 {
			if err := client.Err(); err != nil {
				return err
			}
			length, n := binary.Uvarint(chunk)
			end := n + int(length)
			if err := sink.Row(chunk[n:end]); err != nil {
				return err
			}
			chunk = chunk[end:]
		}
	}
}
