package download

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"dalang/orchestrator/job"
)

// maxComplaint bounds what is told of a node's words.
const maxComplaint = 2000

// body is the packed archive that a command wrote, in base64. Nothing else that
// it wrote to its standard output is told: it may be of the file.
func body(o job.Outcome) (string, error) {
	if _, why, no := strings.Cut(o.Stdout, refused); no {
		why, _, _ = strings.Cut(why, "\n")
		return "", failed(codeRead, "%s", clip(why))
	}
	_, text, ok := strings.Cut(o.Stdout, packed)
	if !ok || o.ExitCode != 0 {
		why := fmt.Sprintf("the command that packs it ended with exit code %d", o.ExitCode)
		if complaint := clip(o.Stderr); complaint != "" {
			why += ": " + complaint
		}
		return "", failed(codeRead, "%s", why)
	}
	size := len(text) - strings.Count(text, "\n") - strings.Count(text, "\r")
	if size/4*3-strings.Count(text[max(0, len(text)-8):], "=") > MaxPacked {
		return "", failed(codeLimit, "it is too large: packed, it has more than %d bytes", MaxPacked)
	}
	return text, nil
}

func clip(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if len(text) > maxComplaint {
		text = strings.ToValidUTF8(text[:maxComplaint], "") + "…"
	}
	return text
}

// unpack unpacks an archive into a new directory.
func (k *Keeper) unpack(ctx context.Context, root *os.Root, dir, base, text string) (*kept, error) {
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	into, err := root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer into.Close() // read only
	packed, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		return nil, failed(codeArchive, "what came is not packed as it should be: %v", err)
	}
	packed.Multistream(false)
	l := k.cfg.Limits
	u := &unpacker{ctx: ctx, into: into, base: base, limits: l, left: l.Bytes, dirs: map[string]bool{".": true}, made: map[string]bool{}}
	// Headers, and the ends of blocks, come on top of what is in files.
	r := &tail{ctx: ctx, r: packed, left: l.Bytes + int64(l.Files)*4096}
	unpacked := u.unpack(tar.NewReader(r))
	if unpacked != nil && !u.archiveFault {
		return nil, unpacked
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, k.broken(err)
	}
	if err := r.status(); err != nil {
		return nil, err
	}
	switch {
	case unpacked != nil:
		return nil, k.broken(unpacked)
	case u.files == 0:
		return nil, failed(codeArchive, "the archive is empty")
	}
	for name := range u.dirs {
		if err := syncDir(into, name); err != nil {
			return nil, err
		}
	}
	return &kept{bytes: l.Bytes - u.left, files: u.files}, nil
}

// broken is the error of an archive that cannot be read to its end.
func (k *Keeper) broken(err error) error {
	switch {
	case errors.Is(err, errTooMuch):
		return failed(codeLimit, "it is too large: the archive has more than %d bytes", k.cfg.Limits.Bytes)
	case errors.Is(err, context.DeadlineExceeded):
		return failed(codeLimit, "it could not be unpacked within %s", k.cfg.Limits.Time)
	}
	return failed(codeArchive, "what came is no whole archive: %v", err)
}

var errTooMuch = errors.New("too much")

// maxTail is how much of what comes last is looked at: the end of the archive,
// and what tar complained about.
const maxTail = 64 << 10

// tail reads at most left bytes, and keeps the last ones.
type tail struct {
	ctx  context.Context
	r    io.Reader
	left int64
	last []byte
}

func (t *tail) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.left -= int64(n)
	if t.left < 0 {
		return 0, errTooMuch
	}
	t.last = append(t.last, p[max(0, n-maxTail):n]...)
	if len(t.last) > 4*maxTail {
		t.last = append(t.last[:0], t.last[len(t.last)-maxTail:]...)
	}
	return n, err
}

// status tells how tar ended, once all was read.
func (t *tail) status() error {
	at := bytes.LastIndex(t.last, []byte(trailer))
	if at < 0 {
		return failed(codeArchive, "what came is no whole archive: it does not say how tar ended")
	}
	lines := strings.Split(strings.TrimSpace(string(t.last[at+len(trailer):])), "\n")
	complaints, status := lines[:len(lines)-1], lines[len(lines)-1]
	if status == "0" {
		return nil
	}
	changed := status == "1" && len(complaints) > 0
	for _, line := range complaints {
		changed = changed && strings.HasSuffix(strings.TrimSpace(line), ": file changed as we read it")
	}
	if changed {
		return nil
	}
	return failed(codeRead, "tar ended with status %s: %s", clip(status), clip(strings.Join(complaints, "\n")))
}

// unpacker puts what is in an archive below a directory.
type unpacker struct {
	ctx    context.Context
	into   *os.Root
	base   string
	limits Limits
	left   int64           // bytes
	files  int             // files and directories so far
	dirs   map[string]bool // that were made
	made   map[string]bool // files that were made
	// archiveFault: the archive cannot be read, which is no fault of the disk.
	archiveFault bool
}

// unpack unpacks everything. Its error is a *failure, of the archive, or of the disk.
func (u *unpacker) unpack(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			u.archiveFault = true
			return err
		}
		if err := u.entry(h, archive); err != nil {
			return err
		}
	}
}

// maxDepth is how deep directories may nest.
const maxDepth = 100

// maxName bounds a name in an archive, in bytes: with all that comes before it on
// the server's disk it is one that programs can open.
const maxName = 2000

// clean is the name of an entry in the directory.
func (u *unpacker) clean(name string) (string, error) {
	cleaned := path.Clean(name)
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", failed(codeArchive, "the archive has a name with .. in it, %.200q", name)
		}
	}
	switch {
	case path.IsAbs(name), strings.ContainsRune(name, 0), cleaned != u.base && !strings.HasPrefix(cleaned, u.base+"/"):
		return "", failed(codeArchive, "the archive has a name that is not of '%s', %.200q", u.base, name)
	case len(cleaned) > maxName:
		return "", failed(codeLimit, "it has a name that is too long: names within it have at most %d bytes", maxName)
	case strings.Count(cleaned, "/") > maxDepth:
		return "", failed(codeLimit, "it is too deep: directories nest at most %d deep", maxDepth)
	}
	return cleaned, nil
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return u.count() // it says nothing that counts here
	}
	name, err := u.clean(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if u.dirs[name] {
			return u.count()
		}
		return u.mkdir(name)
	case tar.TypeReg:
		return u.file(name, h.Size, content)
	case tar.TypeLink:
		return u.link(name, h.Linkname)
	case tar.TypeSymlink:
		return failed(codeArchive, "the archive has a symbolic link, %.200q", h.Name)
	}
	return failed(codeArchive, "%.200q is neither a file nor a directory", h.Name)
}

func (u *unpacker) count() error {
	if u.files++; u.files > u.limits.Files {
		return failed(codeLimit, "it is too much: more than %d files and directories", u.limits.Files)
	}
	return nil
}

// mkdir makes a directory and those above it.
func (u *unpacker) mkdir(name string) error {
	if u.dirs[name] {
		return nil
	}
	if u.made[name] {
		return failed(codeArchive, "the archive has a name twice, %.200q", name)
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	u.dirs[name] = true
	return u.into.Mkdir(name, 0o750)
}

// file writes a file and syncs it.
func (u *unpacker) file(name string, size int64, content io.Reader) error {
	if u.made[name] || u.dirs[name] {
		return failed(codeArchive, "the archive has a name twice, %.200q", name)
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	if size > u.left {
		return failed(codeLimit, "it is too large: more than %d bytes", u.limits.Bytes)
	}
	f, err := u.into.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	u.made[name] = true
	u.left -= size
	source := &faulty{r: content}
	_, err = io.CopyN(f, source, size)
	u.archiveFault = source.err != nil
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// faulty remembers that its reader failed.
type faulty struct {
	r   io.Reader
	err error
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// link makes another name of a file of the archive a file of its own.
func (u *unpacker) link(name, to string) error {
	source, err := u.clean(to)
	if err != nil {
		return err
	}
	if !u.made[source] {
		return failed(codeArchive, "the archive has a link to what is not in it, %.200q", to)
	}
	f, err := u.into.Open(source)
	if err != nil {
		return err
	}
	defer f.Close() // read only
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return u.file(name, info.Size(), f)
}
