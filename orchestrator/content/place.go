package content

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
	"dalang/orchestrator/upstream"
)

// Placed is a file or a directory of a module, as plans put them on nodes.
type Placed struct {
	Path string    // below what was asked for, with slashes; "": that itself
	Dir  bool      // File is empty then
	File task.File // Filename is its base name
}

// maxPlaced is how many files one name may stand for.
const maxPlaced = 10_000

var placePattern = regexp.MustCompile(`\A[a-z][a-z0-9_]*/[^/]`)

// places are what the name of a file in a plan may mean, module/mount/path:
// module/path is of the module's files; module/files/path and
// module/scripts/path name the mount, unless a directory of that name is in
// files.
func places(name string) ([]string, error) {
	module, rest, _ := strings.Cut(name, "/")
	if !placePattern.MatchString(name) || !fs.ValidPath(rest) || strings.ContainsAny(name, "\\\x00") {
		return nil, job.Invalid("", "%.200q does not name a file of a module: module/path, of the module's files, is expected", name)
	}
	names := []string{module + "/files/" + rest}
	if strings.HasPrefix(rest, "files/") || strings.HasPrefix(rest, "scripts/") {
		names = append(names, name)
	}
	return names, nil
}

func noFile(environment, name string) error {
	return job.Invalid("", "The environment %s has no file %s", environment, name)
}

// Files is what a plan means by the name of a file or directory: parents
// before what is in them. Errors are *job.Error: validation-error where there
// is none.
func (d *Directory) Files(_ context.Context, environment, name string) ([]Placed, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, err
	}
	names, err := places(name)
	if err != nil {
		return nil, err
	}
	for _, full := range names {
		module, within, _ := strings.Cut(full, "/")
		home, ok := modules[module]
		if !ok {
			continue
		}
		found, err := d.place(environment, home, full, within)
		if !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return nil, noFile(environment, name)
}

func (d *Directory) place(environment, home, full, within string) ([]Placed, error) {
	root, err := os.OpenRoot(home)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(within))
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", full, err)
	}
	if !info.IsDir() {
		f, err := d.placed(environment, home, full, within, "")
		return []Placed{f}, err
	}
	all := []Placed{{Dir: true}}
	err = fs.WalkDir(root.FS(), within, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == within || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		below := strings.TrimPrefix(path, within+"/")
		if len(all) == maxPlaced {
			return job.Invalid("", "%s holds more than %d files", full, maxPlaced)
		}
		one := Placed{Path: below, Dir: true}
		if !e.IsDir() {
			if one, err = d.placed(environment, home, full+"/"+below, path, below); err != nil {
				return err
			}
		}
		all = append(all, one)
		return nil
	})
	return all, err
}

func (d *Directory) placed(environment, home, full, within, below string) (Placed, error) {
	s, err := d.hash(home, within)
	if err != nil {
		return Placed{}, fmt.Errorf("read %s: %w", full, err)
	}
	uri, err := fileURI(environment, full)
	return Placed{Path: below, File: task.File{Filename: full[strings.LastIndexByte(full, '/')+1:], SHA256: s.sha256, Size: s.size, URI: uri}}, err
}

// Files is Directory's; a Puppet Server gives single files only.
func (s *Server) Files(ctx context.Context, environment, name string) ([]Placed, error) {
	if !job.ValidEnvironment(environment) {
		return nil, job.UnknownEnvironment(environment)
	}
	names, err := places(name)
	if err != nil {
		return nil, err
	}
	for _, full := range names {
		uri, err := fileURI(environment, full)
		if err != nil {
			return nil, err
		}
		f, err := s.sum(ctx, environment, uri)
		var answer *upstream.AnswerError
		if errors.As(err, &answer) && slices.Contains([]int{http.StatusNotFound, http.StatusBadRequest}, answer.Status) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f.Filename = full[strings.LastIndexByte(full, '/')+1:]
		return []Placed{{File: *f}}, nil
	}
	return nil, noFile(environment, name)
}

// sum reads a file to know its size and SHA-256.
func (s *Server) sum(ctx context.Context, environment string, uri task.URI) (*task.File, error) {
	res, err := s.open(ctx, uri.Path, url.Values{"environment": {environment}})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // read only
	h := sha256.New()
	n, err := io.Copy(h, res.Body)
	if err != nil {
		return nil, job.Unavailable(fmt.Errorf("read %s of the Puppet Server: %w", uri.Path, err))
	}
	return &task.File{SHA256: hex.EncodeToString(h.Sum(nil)), Size: n, URI: uri}, nil
}
