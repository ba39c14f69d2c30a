package faultfs

import (
	"bytes"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// file is a content; it may have several names.
type file struct {
	data     []byte // as the living see it
	safe     []byte // of it, what is certain: a prefix
	doubt    bool   // a sync has failed: safe grows no more
	modified time.Time
}

// dir is a directory: what a power cut can leave is base and a subset of steps.
type dir struct {
	live  map[string]any // *file or *dir
	base  map[string]any
	steps []step
}

// step is one change of names, kept or lost as a whole.
type step struct {
	remove, add string
	node        any // of add
	fate        fate
}

type fate int

const (
	pending  fate = iota // not synced yet
	certain              // survives
	doubtful             // a sync of it failed: nobody knows, ever
)

func newDir() *dir { return &dir{live: map[string]any{}, base: map[string]any{}} }

func (s step) apply(names map[string]any) {
	if s.remove != "" {
		delete(names, s.remove)
	}
	if s.add != "" {
		names[s.add] = s.node
	}
}

func (d *dir) change(s step) {
	s.apply(d.live)
	d.steps = append(d.steps, s)
}

// settle is the end of a sync, good or bad, for all that waited for one.
func (d *dir) settle(to fate) {
	for i := range d.steps {
		if d.steps[i].fate == pending {
			d.steps[i].fate = to
		}
	}
	for len(d.steps) > 0 && d.steps[0].fate == certain {
		d.steps[0].apply(d.base)
		d.steps = d.steps[1:]
	}
}

// find looks a path up. Like all that follows it wants FS.mu held.
func (f *FS) find(path string) (any, error) {
	var n any = f.root
	for part := range strings.SplitSeq(filepath.ToSlash(filepath.Clean(path)), "/") {
		if part == "" || part == "." {
			continue
		}
		d, ok := n.(*dir)
		if !ok {
			return nil, syscall.ENOTDIR
		}
		if n, ok = d.live[part]; !ok {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

func (f *FS) directory(path string) (*dir, error) {
	n, err := f.find(path)
	if err != nil {
		return nil, err
	}
	d, ok := n.(*dir)
	if !ok {
		return nil, syscall.ENOTDIR
	}
	return d, nil
}

// parent is the directory of a path, and its name therein.
func (f *FS) parent(path string) (*dir, string, error) {
	d, err := f.directory(filepath.Dir(path))
	return d, filepath.Base(path), err
}

func (f *FS) add(path string, n any) error {
	d, name, err := f.parent(path)
	if err != nil {
		return err
	}
	if _, taken := d.live[name]; taken {
		return fs.ErrExist
	}
	d.change(step{add: name, node: n})
	return nil
}

// Crash is a copy of the disk after a power cut at this moment. The seed picks
// what is left of what was not certain: nothing with 0, everything with 1, and
// something else with others. Nobody has a lock on the copy.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &cut{seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), files: map[*file]*file{}}
	out := New()
	out.root = c.dir(f.root)
	return out
}

// cut is one power cut.
type cut struct {
	seed  uint64
	rand  *rand.Rand
	files map[*file]*file
}

func (c *cut) keeps() bool { return c.seed == 1 || c.seed > 1 && c.rand.IntN(2) == 0 }

func (c *cut) dir(d *dir) *dir {
	names := maps.Clone(d.base)
	for _, s := range d.steps {
		if s.fate == certain || c.keeps() {
			s.apply(names)
		}
	}
	out := newDir()
	for _, name := range sorted(names) {
		switch n := names[name].(type) {
		case *file:
			out.base[name] = c.file(n)
		case *dir:
			out.base[name] = c.dir(n)
		}
	}
	out.live = maps.Clone(out.base)
	return out
}

func (c *cut) file(n *file) *file {
	if done := c.files[n]; done != nil {
		return done
	}
	data := n.data
	if c.seed == 0 {
		data = n.safe
	}
	if c.seed > 1 {
		loose := len(n.data) - len(n.safe)
		switch c.rand.IntN(4) {
		case 0:
			data = n.safe
		case 1:
			data = n.data[:len(n.safe)+c.rand.IntN(loose+1)]
		case 2: // the length reached the disk, the blocks did not
			data = append(bytes.Clone(n.safe), make([]byte, loose)...)
		}
	}
	done := &file{data: bytes.Clone(data), safe: bytes.Clone(data), modified: n.modified}
	c.files[n] = done
	return done
}

// Kill is a copy of the disk as the next process finds it after kill -9:
// nothing is lost, nobody has a lock, and what was not certain is not yet.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := New()
	out.root = copier{}.node(f.root).(*dir)
	return out
}

// copier maps what was copied to its copy.
type copier map[any]any

func (c copier) node(n any) any {
	if done, ok := c[n]; ok {
		return done
	}
	switch n := n.(type) {
	case *file:
		done := &file{bytes.Clone(n.data), bytes.Clone(n.safe), n.doubt, n.modified}
		c[n] = done
		return done
	case *dir:
		done := newDir()
		c[n] = done
		for name, e := range n.live {
			done.live[name] = c.node(e)
		}
		for name, e := range n.base {
			done.base[name] = c.node(e)
		}
		for _, s := range n.steps {
			if s.node != nil {
				s.node = c.node(s.node)
			}
			done.steps = append(done.steps, s)
		}
		return done
	}
	return nil
}

func sorted(names map[string]any) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Put makes a file that is certain, and its directories: what was there before.
func (f *FS) Put(path, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.root
	parts := strings.Split(strings.Trim(filepath.ToSlash(filepath.Clean(path)), "/"), "/")
	for _, part := range parts[:len(parts)-1] {
		next, ok := d.live[part].(*dir)
		if !ok {
			next = newDir()
			d.live[part], d.base[part] = next, next
		}
		d = next
	}
	n := &file{data: []byte(text), safe: []byte(text), modified: time.Now()}
	name := parts[len(parts)-1]
	d.live[name], d.base[name] = n, n
}

// Files are the paths and contents of all files.
func (f *FS) Files() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]string{}
	var walk func(path string, d *dir)
	walk = func(path string, d *dir) {
		for name, n := range d.live {
			switch n := n.(type) {
			case *file:
				all[path+"/"+name] = string(n.data)
			case *dir:
				walk(path+"/"+name, n)
			}
		}
	}
	walk("", f.root)
	return all
}
