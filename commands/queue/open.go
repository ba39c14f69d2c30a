package queue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// Names in the queue's directory.
const (
	bodiesDir   = "q"
	attemptsDir = "attempts"
	tmpPrefix   = "tmp-"
	markerName  = "stockpile"
	markerText  = "0 stockpile"
	saltName    = "dalang-salt"
	lockName    = "dalang-lock"
)

// Open opens or makes the queue in cfg.Dir and lists what is in it, sorted by
// id. It reads names only. Unfinished bodies are deleted; a name it does not
// understand is reported, counted and left where it is. It answers ErrLocked
// when another process has the directory, and an error for a directory whose
// marker announces another layout. Close the queue when done.
func Open(cfg Config) (*Queue, []Entry, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, nil, fmt.Errorf("register queue metrics: %w", err)
	}
	q := &Queue{
		cfg:       cfg,
		q:         filepath.Join(cfg.Dir, bodiesDir),
		tries:     filepath.Join(cfg.Dir, attemptsDir),
		metrics:   m,
		attempted: map[tried]struct{}{},
	}
	q.dir.do = q.syncQ
	m.available.Set(1)

	// The order is the recovery: see doc.go.
	if err := cfg.FS.MkdirAll(cfg.Dir); err != nil {
		return nil, nil, fmt.Errorf("make queue directory: %w", err)
	}
	if q.lock, err = cfg.FS.Lock(filepath.Join(cfg.Dir, lockName)); err != nil {
		return nil, nil, fmt.Errorf("open queue: %w", err)
	}
	entries, err := q.recover()
	if err != nil {
		q.lock.Close() // the first error is the one to tell
		return nil, nil, fmt.Errorf("open queue %s: %w", cfg.Dir, err)
	}
	return q, entries, nil
}

func (q *Queue) recover() ([]Entry, error) {
	marked, err := q.checkMarker()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{q.q, q.tries} {
		if err := q.cfg.FS.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	if err := q.loadSalt(); err != nil {
		return nil, err
	}
	if !marked {
		if err := q.syncParents(); err != nil {
			return nil, err
		}
		if err := q.writeSmall(filepath.Join(q.cfg.Dir, markerName), markerText); err != nil {
			return nil, err
		}
	}
	// Also what an earlier process made and was killed before it could sync.
	if err := q.cfg.FS.SyncDir(q.cfg.Dir); err != nil {
		return nil, fmt.Errorf("sync directory: %w", err)
	}
	entries, err := q.list()
	if err != nil {
		return nil, err
	}
	return entries, q.listAttempts(entries)
}

// checkMarker tells whether there is a marker file, and makes sure that it is
// of our layout.
func (q *Queue) checkMarker() (marked bool, err error) {
	path := filepath.Join(q.cfg.Dir, markerName)
	text, err := q.readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read marker: %w", err)
	}
	if got := string(bytes.TrimSpace(text)); got != markerText {
		return false, fmt.Errorf("%s says %q: this is not a queue that this version understands (want %q)", path, got, markerText)
	}
	return true, nil
}

// syncParents makes the way to the queue's directory durable: somebody may
// have made part of it and been killed before the sync. What we may not read,
// or what cannot be synced by its nature, was not made by us.
func (q *Queue) syncParents() error {
	dir, err := filepath.Abs(q.cfg.Dir)
	if err != nil {
		return fmt.Errorf("find queue directory: %w", err)
	}
	for up := filepath.Dir(dir); up != dir; dir, up = up, filepath.Dir(up) {
		err := q.cfg.FS.SyncDir(up)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
	}
	return nil
}

// loadSalt reads the secret part of our UUIDs, or makes one. A damaged salt
// costs the UUIDs of what is queued, not the commands.
func (q *Queue) loadSalt() error {
	path := filepath.Join(q.cfg.Dir, saltName)
	text, err := q.readSmall(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read salt: %w", err)
	}
	if err == nil {
		if q.salt, err = uuid.ParseBytes(bytes.TrimSpace(text)); err == nil {
			return nil
		}
		q.cfg.Logger.Error("damaged queue salt replaced; queued commands get new uuids", "path", path, "error", err)
	}
	if q.salt, err = uuid.NewRandom(); err != nil {
		return fmt.Errorf("make salt: %w", err)
	}
	return q.writeSmall(path, q.salt.String()+"\n")
}

// list reads the names of the bodies.
func (q *Queue) list() ([]Entry, error) {
	names, err := q.cfg.FS.ReadDir(q.q)
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	entries := make([]Entry, 0, len(names))
	certids := map[string]string{} // one string per node, not per command
	var next uint64
	for _, name := range names {
		if strings.HasPrefix(name, tmpPrefix) {
			q.discard(filepath.Join(q.q, name))
			continue
		}
		id, m, err := ParseName(name)
		if err != nil {
			q.foreign(name, err)
			continue
		}
		if c, ok := certids[m.Certid]; ok {
			m.Certid = c
		} else {
			certids[m.Certid] = m.Certid
		}
		next = max(next, id+1)
		entries = append(entries, Entry{ID: id, Meta: m, UUID: uuid.NewSHA1(q.salt, []byte(name))})
	}
	q.next.Store(next)
	// Ids are unique unless somebody merged two spools.
	slices.SortFunc(entries, func(a, b Entry) int {
		if a.ID != b.ID {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Or(a.Meta.Received.Compare(b.Meta.Received), cmp.Compare(a.Name(), b.Name()))
	})
	return entries, nil
}

func (q *Queue) foreign(name string, err error) {
	q.metrics.foreign.Inc()
	q.cfg.Logger.Warn("left alone a file in the queue", "name", name, "error", err)
}

// readSmall reads a file of at most 4 KiB.
func (q *Queue) readSmall(path string) ([]byte, error) {
	f, err := q.cfg.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	return io.ReadAll(io.LimitReader(f, 4<<10))
}

// writeSmall puts a small file in place: after a crash it is there whole, or
// not (or as it was). It is durable with the next sync of its directory.
func (q *Queue) writeSmall(path, text string) error {
	tmp := path + ".tmp"
	if err := q.writeTmp(tmp, []byte(text)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := q.cfg.FS.Replace(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeTmp writes and syncs a file, in place of one that a crash left.
func (q *Queue) writeTmp(path string, text []byte) error {
	f, err := q.cfg.FS.Create(path)
	if errors.Is(err, fs.ErrExist) {
		if err = q.cfg.FS.Remove(path); err == nil {
			f, err = q.cfg.FS.Create(path)
		}
	}
	if err != nil {
		return diskError(opCreate, err)
	}
	op := opWrite
	if _, err = f.Write(text); err == nil {
		op = opSync
		err = f.Sync()
	}
	if e := f.Close(); e != nil && err == nil {
		op, err = opClose, e
	}
	if err != nil {
		q.discard(path)
		return diskError(op, err)
	}
	return nil
}

// syncQ is one sync of the directory of bodies. The failure is noted before
// anybody else may sync.
func (q *Queue) syncQ() error {
	q.metrics.dirSyncs.Inc()
	if err := q.cfg.FS.SyncDir(q.q); err != nil {
		return q.fail(opSyncDir, err)
	}
	return nil
}

// probe does to a file of its own what Put does to a body.
func (q *Queue) probe() error {
	path := filepath.Join(q.q, tmpPrefix+"probe-"+strconv.FormatUint(q.tmp.Add(1), 10))
	if err := q.writeTmp(path, make([]byte, spoolBuffer)); err != nil {
		var d *DiskError
		errors.As(err, &d)
		return q.fail(d.Op, d.Err)
	}
	if err := q.cfg.FS.Remove(path); err != nil {
		return q.fail(opRemove, err)
	}
	return q.dir.sync()
}
