package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Words for what the disk was asked to do, in DiskError.Op and metrics.
const (
	opCreate  = "create"
	opWrite   = "write"
	opSync    = "sync"
	opClose   = "close"
	opMove    = "move"
	opRemove  = "remove"
	opSyncDir = "sync directory"
	opRead    = "read"
)

// Spool is what a body that implements io.WriterTo gets from Put to write
// itself to: the file in the making.
type Spool interface {
	io.Writer
	// Reread opens what has been written so far, from the start.
	Reread() (io.ReadCloser, error)
}

// Put takes a command in. When it returns nil the command is durable: no
// crash loses it. When it returns an error the command is not in the queue;
// should the machine crash right then, it may come up in the queue all the
// same, whole.
//
// An error of body (or of its WriteTo) comes back wrapped and is no fault of
// the queue. A body that implements io.WriterTo is asked to write itself and
// may assert its writer to a Spool. Disk errors are *DiskError.
func (q *Queue) Put(ctx context.Context, m Meta, body io.Reader) (Entry, error) {
	if _, _, err := ParseName(fileName(0, m)); err != nil {
		return Entry{}, fmt.Errorf("name command: %w", err) // Open would not know it again
	}
	q.mu.Lock()
	if err := q.availableLocked(); err != nil {
		q.mu.Unlock()
		return Entry{}, err
	}
	failures := q.failures
	q.running.Add(1)
	q.mu.Unlock()
	defer q.running.Done()
	defer q.metrics.putSeconds.observeSince(time.Now()) // a duration: not the injected clock

	// The order of what follows is the promise. Frozen in testdata/put.golden.
	//  1 create q/tmp-<n>            a crash until 5 leaves a tmp, which Open deletes
	//  2 write the body
	//  3 sync the file               the content is durable before it has a name
	//  4 close it
	//  5 move to q/<id>-<meta>       never over an existing name; atomic
	//  6 sync q                      the name is durable; shared by concurrent Puts
	tmp, size, err := q.spool(ctx, body)
	if err != nil {
		return Entry{}, err
	}
	e, err := q.publish(tmp, m)
	if err != nil {
		q.discard(tmp)
		return Entry{}, err
	}
	e.Size = size
	if err := q.syncNames(failures); err != nil {
		q.discard(q.Path(e))
		return Entry{}, err
	}
	e.UUID = uuid.NewSHA1(q.salt, []byte(e.Name()))
	return e, nil
}

// spool does steps 1 to 4 and answers the file's path and size. After an
// error the file is gone, or will be at the next Open.
func (q *Queue) spool(ctx context.Context, body io.Reader) (path string, size int64, err error) {
	f, path, err := q.createTmp()
	if err != nil {
		return "", 0, q.fail(opCreate, err)
	}
	s := &spool{ctx: ctx, q: q, path: path, file: f}
	err = s.fill(body)
	if err == nil {
		if err = f.Sync(); err != nil {
			err = q.fail(opSync, err)
		}
	}
	// After a failed sync or write, closing has no say any more.
	if e := f.Close(); e != nil && err == nil {
		err = q.fail(opClose, e)
	}
	if err != nil {
		q.discard(path)
		return "", 0, err
	}
	return path, s.size, nil
}

// createTmp makes a new file for a body. Names left by an earlier process
// that could not be deleted are stepped over.
func (q *Queue) createTmp() (File, string, error) {
	for {
		path := filepath.Join(q.q, tmpPrefix+strconv.FormatUint(q.tmp.Add(1), 10))
		f, err := q.cfg.FS.Create(path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return f, path, err
	}
}

// errNoID: somebody put a file with the largest id into the directory. When it
// has been dealt with, a restart finds smaller ones free.
var errNoID = errors.New("no id is left: the queue holds a command with the largest there is")

// publish does step 5. A name that is taken (by a foreign file: our ids are
// unique) costs an id.
func (q *Queue) publish(tmp string, m Meta) (Entry, error) {
	for {
		e := Entry{ID: q.next.Add(1) - 1, Meta: m}
		if e.ID > math.MaxInt64 {
			return Entry{}, errNoID
		}
		err := q.cfg.FS.Move(tmp, q.Path(e))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return Entry{}, q.fail(opMove, err)
		}
		return e, nil
	}
}

// syncNames does step 6. failures is the count of failed syncs from before
// step 1: when it has moved, some sync that may have covered our name or our
// content failed, and a later one that succeeds proves nothing.
func (q *Queue) syncNames(failures uint64) error {
	if err := q.dir.sync(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failures == failures {
		return nil
	}
	if q.bad != nil {
		return q.bad
	}
	return diskError(opSync, errors.New("a concurrent sync failed"))
}

// discard deletes what a failed Put leaves. What it cannot delete is a tmp,
// which Open deletes, or a whole command, which will be applied.
func (q *Queue) discard(path string) {
	if err := q.cfg.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		q.cfg.Logger.Warn("left a file behind in the queue", "path", path, "error", err)
	}
}

// spool is a body file in the making. It tells errors of the disk from errors
// of the body: only the former are the queue's.
type spool struct {
	ctx  context.Context
	q    *Queue
	path string
	file File
	buf  *bufio.Writer
	size int64
	bad  error // first error of the disk
}

const spoolBuffer = 64 << 10

func (s *spool) fill(body io.Reader) error {
	buf := s.q.metrics.buffers.Get().(*bufio.Writer)
	buf.Reset(diskWriter{s})
	s.buf = buf
	defer func() {
		buf.Reset(nil)
		s.q.metrics.buffers.Put(buf)
	}()
	var err error
	if wt, ok := body.(io.WriterTo); ok {
		_, err = wt.WriteTo(s)
	} else {
		// LimitReader and friends must not be bypassed: read in our own turn.
		_, err = io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{body})
	}
	if err == nil {
		err = buf.Flush()
	}
	if s.bad != nil {
		return s.bad
	}
	if err != nil {
		return fmt.Errorf("read command: %w", err)
	}
	return nil
}

// Write takes bytes of the body.
func (s *spool) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.buf.Write(p)
	s.size += int64(n)
	return n, err
}

// Reread is Spool's.
func (s *spool) Reread() (io.ReadCloser, error) {
	if err := s.buf.Flush(); err != nil {
		return nil, err
	}
	f, err := s.q.cfg.FS.Open(s.path)
	if err != nil {
		s.bad = s.q.fail(opRead, err)
		return nil, s.bad
	}
	return f, nil
}

// diskWriter is the file below the buffer; it keeps the disk's error.
type diskWriter struct{ s *spool }

func (w diskWriter) Write(p []byte) (int, error) {
	n, err := w.s.file.Write(p)
	if err != nil {
		w.s.bad = w.s.q.fail(opWrite, err)
		return n, w.s.bad
	}
	return n, nil
}
