package dlo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"

	"dalang/commands/queue"
)

// memFS is a disk in memory that can fail at a chosen operation and tell how
// it would look after a power cut. Names change by journalled steps, each of
// which a crash keeps or loses as a whole unless a directory it touches has
// been synced since; content that was not synced may be lost.
type memFS struct {
	mu      sync.Mutex
	dirs    map[string]bool
	names   map[string]*node // as seen by the living
	durable map[string]*node // as a power cut leaves them, before pending
	pending []step
	log     []string
	ops     int
	failAt  int  // fail this operation, counted from 1; 0: none
	dead    bool // and every one after it: the process is gone
	failing bool
}

type node struct{ data, synced []byte }

// step is one change of names.
type step struct {
	dirs   []string
	remove string
	add    string
	node   *node
}

var errDisk = errors.New("the disk says no")

func newMemFS() *memFS {
	return &memFS{dirs: map[string]bool{"/": true}, names: map[string]*node{}, durable: map[string]*node{}}
}

// op counts and logs an operation, and lets it fail.
func (m *memFS) op(format string, args ...any) error {
	m.ops++
	line := fmt.Sprintf(format, args...)
	if m.failing && m.dead || m.ops == m.failAt {
		m.failing = true
		return fmt.Errorf("%s: %w", line, errDisk)
	}
	m.log = append(m.log, line)
	return nil
}

func apply(names map[string]*node, s step) {
	if s.remove != "" && (s.node == nil || names[s.remove] == s.node) {
		delete(names, s.remove)
	}
	if s.add != "" {
		names[s.add] = s.node
	}
}

func (m *memFS) change(s step) {
	for _, p := range []string{s.remove, s.add} {
		if p != "" {
			s.dirs = append(s.dirs, filepath.Dir(p))
		}
	}
	apply(m.names, s)
	m.pending = append(m.pending, s)
}

// crash is the disk after a power cut: of what was not synced, random parts
// are there.
func (m *memFS) crash(seed uint64) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 1))
	keep := func() bool { return seed > 0 && (seed == 1 || r.IntN(2) == 0) } // 0: nothing, 1: everything
	names := map[string]*node{}
	for k, v := range m.durable {
		names[k] = v
	}
	for _, s := range m.pending {
		if keep() {
			apply(names, s)
		}
	}
	out := newMemFS()
	for d := range m.dirs {
		out.dirs[d] = true
	}
	for k, v := range names {
		data := v.synced
		if keep() {
			data = v.data
		}
		n := &node{bytes.Clone(data), bytes.Clone(data)}
		out.names[k], out.durable[k] = n, n
	}
	return out
}

func (m *memFS) MkdirAll(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[path] {
		return nil
	}
	if err := m.op("mkdir %s", path); err != nil {
		return err
	}
	for ; !m.dirs[path]; path = filepath.Dir(path) {
		m.dirs[path] = true
	}
	return nil
}

func (m *memFS) Create(path string) (queue.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[path] != nil {
		return nil, fs.ErrExist
	}
	if err := m.op("create %s", path); err != nil {
		return nil, err
	}
	n := &node{}
	m.change(step{add: path, node: n})
	return &memFile{m, path, n}, nil
}

func (m *memFS) Open(path string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[path]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(n.data))), nil
}

func (m *memFS) Move(from, to string) error { return m.rename("move", from, to, false) }

func (m *memFS) Replace(from, to string) error { return m.rename("replace", from, to, true) }

func (m *memFS) rename(verb, from, to string, over bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[from]
	if n == nil {
		return fs.ErrNotExist
	}
	if m.names[to] != nil && !over {
		return fs.ErrExist
	}
	if err := m.op("%s %s %s", verb, from, to); err != nil {
		return err
	}
	m.change(step{remove: from, add: to, node: n})
	return nil
}

func (m *memFS) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[path] == nil {
		return fs.ErrNotExist
	}
	if err := m.op("remove %s", path); err != nil {
		return err
	}
	m.change(step{remove: path})
	return nil
}

func (m *memFS) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.op("sync %s", path); err != nil {
		return err
	}
	var left []step
	for _, s := range m.pending {
		touched := false
		for _, d := range s.dirs {
			touched = touched || d == path
		}
		if touched {
			apply(m.durable, s)
		} else {
			left = append(left, s)
		}
	}
	m.pending = left
	return nil
}

func (m *memFS) ReadDir(path string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[path] {
		return nil, fs.ErrNotExist
	}
	var list []string
	for name := range m.names {
		if filepath.Dir(name) == path {
			list = append(list, filepath.Base(name))
		}
	}
	return list, nil
}

func (m *memFS) Stat(path string) (queue.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.names[path]; n != nil {
		return queue.Info{Size: int64(len(n.data))}, nil
	}
	if m.dirs[path] {
		return queue.Info{Dir: true}, nil
	}
	return queue.Info{}, fs.ErrNotExist
}

func (m *memFS) Lock(string) (io.Closer, error) { return io.NopCloser(strings.NewReader("")), nil }

// put makes a file that is wholly durable.
func (m *memFS) put(path, text string) {
	for d := filepath.Dir(path); !m.dirs[d]; d = filepath.Dir(d) {
		m.dirs[d] = true
	}
	n := &node{[]byte(text), []byte(text)}
	m.names[path], m.durable[path] = n, n
}

func (m *memFS) text(path string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.names[path]; n != nil {
		return string(n.data)
	}
	return ""
}

type memFile struct {
	m    *memFS
	path string
	n    *node
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.op("write %s", f.path); err != nil {
		return 0, err
	}
	f.n.data = append(f.n.data, p...)
	return len(p), nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.op("sync %s", f.path); err != nil {
		return err
	}
	f.n.synced = bytes.Clone(f.n.data)
	return nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.m.op("close %s", f.path)
}

var _ queue.FS = (*memFS)(nil)
