package dlo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// loadAtOpen is how many diagnoses Open reads itself; more are read by Run, or
// by the first who asks.
const loadAtOpen = 1000

// Open opens or makes an office and lists what is in it, by name. Diagnoses
// that a crash prevented are written. Files whose names say nothing are
// reported and left alone.
func Open(cfg Config) (*Office, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register dlo metrics: %w", err)
	}
	o := &Office{cfg: cfg, metrics: m, settled: make(chan struct{}, 1), byUUID: map[uuid.UUID]*letter{},
		successors: newSuccessors(cfg.RememberReplayed)}
	if err := o.scan(); err != nil {
		return nil, fmt.Errorf("open dead letter office: %w", err)
	}
	slices.SortFunc(o.order, byAcceptance)
	for _, l := range o.order {
		o.remember(l)
	}
	for _, l := range slices.Clone(o.order) {
		if !l.noted && !l.imported {
			if err := o.diagnose(l); err != nil {
				return nil, fmt.Errorf("open dead letter office: %w", err)
			}
		}
	}
	if len(o.order) <= loadAtOpen {
		if err := o.load(context.Background()); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// scan lists the letters of all directories, in no order.
func (o *Office) scan() error {
	if err := o.cfg.FS.MkdirAll(o.cfg.Dir); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	certids := map[string]string{}
	for _, v := range wireformat.Commands() {
		dir := filepath.Join(o.cfg.Dir, directory(v.Command))
		if err := o.scanDir(dir, false, certids); err != nil {
			return err
		}
	}
	if o.cfg.Imported != "" {
		return o.scanDir(o.cfg.Imported, true, certids)
	}
	return nil
}

func (o *Office) scanDir(dir string, imported bool, certids map[string]string) error {
	names, err := o.cfg.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list letters: %w", err)
	}
	notes := map[string]bool{} // names of diagnoses; true: a body has claimed it
	for _, name := range names {
		if strings.HasSuffix(name, diagnosisSuffix) || !imported && strings.HasSuffix(name, textSuffix) {
			notes[name] = false
		}
	}
	for _, name := range names {
		_, isNote := notes[name]
		switch {
		case isNote || imported && strings.HasSuffix(name, textSuffix):
		case strings.HasPrefix(name, tmpPrefix) && !imported:
			o.discard(filepath.Join(dir, name))
		default:
			o.scanBody(dir, name, imported, notes, certids)
		}
	}
	if !imported {
		o.removeOrphans(dir, notes)
	}
	return nil
}

func (o *Office) scanBody(dir, name string, imported bool, notes map[string]bool, certids map[string]string) {
	id, meta, err := queue.ParseName(name)
	if err == nil && !imported && filepath.Base(dir) != directory(meta.Command) {
		err = errors.New("it is not a command of this directory")
	}
	if err != nil {
		o.cfg.Logger.Warn("left alone a file in the dead letter office", "dir", dir, "name", name, "error", err)
		return
	}
	if c, ok := certids[meta.Certid]; ok {
		meta.Certid = c // one string per node, not per letter
	} else {
		certids[meta.Certid] = meta.Certid
	}
	l := &letter{
		id: id, meta: meta, imported: imported, uuid: o.nameUUID(name, imported),
		certname: meta.Certid, cause: CauseUnread,
	}
	st := stem(name)
	if _, ok := notes[st+diagnosisSuffix]; ok {
		l.noted = true
		notes[st+diagnosisSuffix] = true
	}
	if _, ok := notes[st+textSuffix]; ok {
		notes[st+textSuffix] = true
	}
	o.order = append(o.order, l)
}

// nameUUID is the uuid of a letter as its name tells it. The queue never gave
// one to what PuppetDB discarded, but may to a command of the same name.
func (o *Office) nameUUID(name string, imported bool) uuid.UUID {
	if imported {
		name = "imported/" + name
	}
	return o.cfg.UUID(name)
}

// removeOrphans deletes the diagnoses of letters that have gone: a crash came
// between the removal of the body and theirs.
func (o *Office) removeOrphans(dir string, notes map[string]bool) {
	for name, claimed := range notes {
		if !claimed {
			o.cfg.Logger.Info("deleted the diagnosis of a letter that has gone", "dir", dir, "name", name)
			o.discard(filepath.Join(dir, name))
		}
	}
}

// discard deletes a file that nobody needs. What cannot be deleted now can at
// the next Open.
func (o *Office) discard(path string) {
	if err := o.cfg.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.cfg.Logger.Warn("left a file behind in the dead letter office", "path", path, "error", err)
	}
}

// load reads the diagnoses that have not been read. Only ctx makes it fail:
// what cannot be read has the cause unknown.
func (o *Office) load(ctx context.Context) error {
	o.loading.Lock()
	defer o.loading.Unlock()
	o.mu.Lock()
	var todo []*letter
	if o.unread > 0 {
		for _, l := range o.order {
			if !l.read {
				todo = append(todo, l)
			}
		}
	}
	o.mu.Unlock()

	work := make(chan *letter)
	var workers sync.WaitGroup
	for range min(len(todo), 4*runtime.GOMAXPROCS(0)) { // more than cores: disks like it
		workers.Go(func() {
			for l := range work {
				o.renote(l, o.readOrGuess(l), true)
			}
		})
	}
	defer workers.Wait()
	defer close(work)
	for _, l := range todo {
		select {
		case work <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readOrGuess reads a letter's diagnosis, or makes one up without writing it.
func (o *Office) readOrGuess(l *letter) Diagnosis {
	d, err := o.readDiagnosis(l)
	if err == nil {
		return d
	}
	d = o.blank(l)
	d.Cause, d.Message = CauseUnknown, "the diagnosis cannot be read: "+err.Error()
	d.DiscardedAt = stamp(l.meta.Received)
	o.cfg.Logger.Warn("unreadable diagnosis in the dead letter office", "name", d.File, "uuid", d.UUID, "error", err)
	return d
}

// readDiagnosis reads what lies beside a body. What the body's name and size
// tell goes before what was written down.
func (o *Office) readDiagnosis(l *letter) (Diagnosis, error) {
	text, err := o.readFile(o.diagnosisPath(l))
	if errors.Is(err, fs.ErrNotExist) && l.imported {
		return o.readUpstream(l)
	}
	if err != nil {
		return Diagnosis{}, err
	}
	d, err := ReadDiagnosis(text)
	if err != nil {
		return Diagnosis{}, err
	}
	b := o.blank(l)
	d.File, d.Command, d.Version, d.Received = b.File, b.Command, b.Version, b.Received
	d.ProducerTimestamp, d.Size, d.Encoding = b.ProducerTimestamp, b.Size, b.Encoding
	if d.Certname == "" {
		d.Certname = b.Certname
	}
	return d, nil
}

// readUpstream reads PuppetDB's text beside a body.
func (o *Office) readUpstream(l *letter) (Diagnosis, error) {
	d := o.blank(l)
	text, err := o.readFile(o.textPath(l))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Diagnosis{}, err
	}
	d.readImported(string(text))
	if n := len(d.Attempts); n > 0 {
		d.DiscardedAt = stamp(d.Attempts[n-1].At)
	}
	return d, nil
}

// blank is a diagnosis of what a body's name and file tell. DiscardedAt is the
// last change of the file: the best guess for an imported letter.
func (o *Office) blank(l *letter) Diagnosis {
	d := Diagnosis{DalangVersion: o.cfg.Version}
	d.fill(queue.Entry{ID: l.id, Meta: l.meta, UUID: o.nameUUID(l.name(), l.imported)})
	if st, err := o.cfg.FS.Stat(o.bodyPath(l)); err == nil {
		d.Size, d.DiscardedAt = st.Size, stamp(st.Modified)
	}
	return d
}

// maxDiagnosis bounds what is read of a diagnosis file.
const maxDiagnosis = 16 << 20

func (o *Office) readFile(path string) ([]byte, error) {
	f, err := o.cfg.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	return io.ReadAll(io.LimitReader(f, maxDiagnosis))
}
