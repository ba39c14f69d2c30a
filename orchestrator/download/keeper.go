package download

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// Limits are what one node's download may take. A zero is the usual.
type Limits struct {
	Bytes int64         // of all files, unpacked; 64 MiB
	Files int           // files and directories; 10,000
	Time  time.Duration // to unpack it; 5 min
	Spare int64         // bytes that stay free on the disk; 512 MiB
}

// Config is how downloads are kept. Dir is required.
type Config struct {
	Dir    string // made when the first one comes
	Limits Limits
	// Free tells how many bytes are free where a directory is; nil: the system's.
	// What it cannot tell is enough.
	Free   func(dir string) (int64, error)
	Logger *slog.Logger
}

// Keeper keeps downloads. Its methods are safe for concurrent use. No other
// Keeper may have the directory at the same time.
type Keeper struct {
	cfg Config
	dir string // absolute
	log *slog.Logger

	slots chan struct{} // holds those that unpack
	mu    sync.Mutex    // held while something gets its name
}

// atOnce is how many downloads are unpacked at a time.
const atOnce = 4

// block is what a file or a directory takes of the disk besides its bytes.
const block = 4096

// room is what has to be free before one is unpacked, so that Spare stays free
// however many others are at it.
func (l *Limits) room() int64 { return l.Spare + atOnce*(l.Bytes+int64(l.Files)*block) }

// unpacking is the directory of what is being made.
const unpacking = ".unpacking"

// New makes a keeper, and deletes what the last one had not finished.
func New(cfg Config) (*Keeper, error) {
	if cfg.Dir == "" {
		return nil, errors.New("download: a directory is required")
	}
	for _, n := range []struct {
		value   *int64
		usually int64
	}{{&cfg.Limits.Bytes, 64 << 20}, {&cfg.Limits.Spare, 512 << 20}} {
		if *n.value <= 0 {
			*n.value = n.usually
		}
	}
	if cfg.Limits.Files <= 0 {
		cfg.Limits.Files = 10_000
	}
	if cfg.Limits.Time <= 0 {
		cfg.Limits.Time = 5 * time.Minute
	}
	if cfg.Free == nil {
		cfg.Free = free
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, unpacking)); err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	return &Keeper{cfg: cfg, dir: dir, log: cfg.Logger, slots: make(chan struct{}, atOnce)}, nil
}

// kindFile is the kind of all errors of downloads, as Bolt names it.
const kindFile = "puppetlabs.tasks/task_file_error"

// Issue codes of errors.
const (
	codeRead    = "READ_ERROR"    // the node could not read or send it
	codeLimit   = "LIMIT_ERROR"   // it is more than is taken
	codeArchive = "ARCHIVE_ERROR" // what came is no archive, or none that is taken
	codeWrite   = "WRITE_ERROR"   // this server could not keep it
)

// failure is why there is no download.
type failure struct{ code, msg string }

func (f *failure) Error() string { return f.msg }

func failed(code, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// Receive keeps what a node sent for a plan job, and answers the outcome to go on
// with. What that was asked to run is d's Command. It takes its time, and waits for
// others that do; when wanted ends it keeps nothing, and the outcome is Errored.
func (k *Keeper) Receive(wanted context.Context, planJob int64, certname string, d job.Download, o job.Outcome) job.Outcome {
	if o.State != job.Finished && o.State != job.Failed {
		return o
	}
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-wanted.Done():
		return unwanted(certname, d)
	}
	ctx, cancel := context.WithTimeout(wanted, k.cfg.Limits.Time)
	defer cancel()
	left := job.Outcome{State: job.Finished, ExitCode: o.ExitCode}
	kept, err := k.receive(ctx, planJob, certname, d, o)
	if err != nil && wanted.Err() != nil {
		return unwanted(certname, d)
	}
	if err == nil {
		k.log.LogAttrs(ctx, slog.LevelInfo, "a download was kept", slog.Int64("plan_job", planJob), slog.String("certname", certname),
			slog.Int64("bytes", kept.bytes), slog.Int("files", kept.files))
		left.Results = object(map[string]any{"path": kept.path,
			"_output": fmt.Sprintf("Downloaded '%s:%s' to '%s'", certname, d.Source, filepath.Dir(kept.path))})
		return left
	}
	var f *failure
	if !errors.As(err, &f) {
		k.log.LogAttrs(ctx, slog.LevelError, "a download cannot be kept", slog.Int64("plan_job", planJob), slog.String("certname", certname), slog.Any("error", err))
		f = &failure{codeWrite, "this server cannot keep it: " + err.Error()}
	}
	left.State = job.Failed
	left.Results = object(map[string]any{"_error": map[string]any{"kind": kindFile, "issue_code": f.code,
		"msg": fmt.Sprintf("'%s' was not downloaded from %s: %s", d.Source, certname, f.msg), "details": map[string]any{"node": certname}}})
	return left
}

// unwanted is the outcome of what was given up while it came.
func unwanted(certname string, d job.Download) job.Outcome {
	return job.Outcome{State: job.Errored, Err: job.NodeError(job.Prefix+"force-stopped", certname, "The download of '%s' from %s was stopped", d.Source, certname)}
}

// kept is what became of a download.
type kept struct {
	path  string
	bytes int64
	files int
}

func (k *Keeper) receive(ctx context.Context, planJob int64, certname string, d job.Download, o job.Outcome) (*kept, error) {
	if err := errors.Join(CheckSource(d.Source), CheckDestination(d.Destination)); err != nil || planJob <= 0 {
		return nil, fmt.Errorf("'%s' of the plan job %d: %w", d.Destination, planJob, err)
	}
	if certname == "" || certname == "." || certname == ".." || strings.ContainsAny(certname, "/\\\x00") {
		return nil, failed(codeWrite, "its name cannot be that of a directory")
	}
	archive, err := body(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, err
	}
	if free, err := k.cfg.Free(k.dir); err == nil && free < k.cfg.Limits.room() {
		return nil, failed(codeWrite, "the disk of this server has only %d MiB left, and downloads begin with no less than %d MiB", free>>20, k.cfg.Limits.room()>>20)
	}
	root, err := os.OpenRoot(k.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // read only
	base := path.Base(path.Clean(d.Source))
	work := path.Join(unpacking, uuid.NewString())
	defer func() {
		if err := root.RemoveAll(work); err != nil {
			k.log.LogAttrs(ctx, slog.LevelWarn, "what was left of a download cannot be deleted", slog.String("directory", work), slog.Any("error", err))
		}
	}()
	made, err := k.unpack(ctx, root, path.Join(work, "new"), base, archive)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, k.broken(err)
	}
	final := path.Join(strconv.FormatInt(planJob, 10), d.Destination, certname, base)
	if err := k.name(root, work, base, final); err != nil {
		return nil, err
	}
	made.path = filepath.Join(k.dir, filepath.FromSlash(final))
	return made, nil
}

// name gives what was made its name; what has it goes.
func (k *Keeper) name(root *os.Root, work, base, final string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := root.MkdirAll(path.Dir(final), 0o700); err != nil {
		return err
	}
	old := path.Join(work, "old")
	err := root.Rename(final, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	replaced := err == nil
	if err := root.Rename(path.Join(work, "new", base), final); err != nil {
		if replaced {
			err = errors.Join(err, root.Rename(old, final))
		}
		return err
	}
	for dir := path.Dir(final); ; dir = path.Dir(dir) { // those above it may be new, too
		if err := syncDir(root, dir); err != nil || dir == "." {
			return err
		}
	}
}

// syncDir makes the names in a directory last.
func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Prune deletes the downloads of plan jobs that are not known any more, and
// tells of how many. What cannot be deleted is in nobody's way.
func (k *Keeper) Prune(ctx context.Context, known func(ctx context.Context, planJob int64) (bool, error)) (pruned int, err error) {
	entries, err := os.ReadDir(k.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("downloads: %w", err)
	}
	var failures []error
	for _, e := range entries {
		id, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil {
			continue
		}
		there, err := known(ctx, id)
		if err != nil {
			return pruned, fmt.Errorf("downloads of the plan job %d: %w", id, err)
		}
		if there {
			continue
		}
		if err := os.RemoveAll(filepath.Join(k.dir, e.Name())); err != nil {
			failures = append(failures, fmt.Errorf("downloads of the plan job %d: %w", id, err))
			continue
		}
		pruned++
	}
	return pruned, errors.Join(failures...)
}

// object is the JSON of a value that has one.
func object(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a programming error: all these values are plain
	}
	return text
}
