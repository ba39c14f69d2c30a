package content

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/ini.v1"

	"dalang/orchestrator/job"
)

var modulePattern = regexp.MustCompile(`\A[a-z][a-z0-9_]*\z`)

// modules are the modules of an environment: name to directory. Of two with
// the same name the first on the modulepath counts.
func (d *Directory) modules(environment string) (map[string]string, error) {
	home, err := d.home(environment)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	known, ok := d.listed[environment]
	d.mu.Unlock()
	if ok && d.cfg.Now().Sub(known.at) < d.cfg.KeepFor {
		return known.modules, nil
	}
	found := map[string]string{}
	for _, dir := range d.modulepath(home) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.cfg.Logger.Warn("a directory of the modulepath cannot be read", "directory", dir, "error", err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if _, taken := found[e.Name()]; taken || !modulePattern.MatchString(e.Name()) {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.IsDir() { // a module may be a link
				found[e.Name()] = path
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listed[environment] = listing{found, d.cfg.Now()}
	return found, nil
}

// listing is what was found of an environment, and when.
type listing struct {
	modules map[string]string
	at      time.Time
}

// home is an environment's directory.
func (d *Directory) home(environment string) (string, error) {
	if job.ValidEnvironment(environment) {
		for _, dir := range d.cfg.Path {
			home := filepath.Join(dir, environment)
			if info, err := os.Stat(home); err == nil && info.IsDir() {
				return home, nil
			}
		}
	}
	return "", job.UnknownEnvironment(environment)
}

// modulepath is that of environment.conf, or Puppet's default.
func (d *Directory) modulepath(home string) []string {
	setting := "modules:$basemodulepath"
	conf, err := ini.LoadSources(ini.LoadOptions{IgnoreInlineComment: true, SkipUnrecognizableLines: true}, filepath.Join(home, "environment.conf"))
	switch {
	case err == nil:
		if given := conf.Section("").Key("modulepath").String(); given != "" {
			setting = given
		}
	case !errors.Is(err, fs.ErrNotExist):
		d.cfg.Logger.Warn("environment.conf cannot be read; the default modulepath counts", "directory", home, "error", err)
	}
	var path []string
	for _, dir := range filepath.SplitList(setting) {
		switch dir = strings.TrimSpace(dir); {
		case dir == "$basemodulepath":
			path = append(path, d.cfg.BaseModulePath...)
		case strings.Contains(dir, "$"):
			d.cfg.Logger.Warn("a directory of the modulepath holds a setting that only Puppet knows", "directory", dir)
		case filepath.IsAbs(dir):
			path = append(path, dir)
		case dir != "":
			path = append(path, filepath.Join(home, dir))
		}
	}
	return path
}

// inModule opens a file of a module. Nothing outside the module is reached,
// whatever links there are.
func inModule(module, name string) (*os.File, error) {
	root, err := os.OpenRoot(module)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// below lists the regular files below a directory of a module, with slashes,
// sorted. Links are not followed.
func below(module, dir string) ([]string, error) {
	root, err := os.OpenRoot(module)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var files []string
	err = fs.WalkDir(root.FS(), strings.TrimSuffix(dir, "/"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

// sum is what is known of a file's content.
type sum struct {
	modified time.Time
	size     int64
	sha256   string
}

// hash gives a file's size and SHA-256, which is computed again when its time
// or size is another.
func (d *Directory) hash(module, name string) (sum, error) {
	f, err := inModule(module, name)
	if err != nil {
		return sum{}, err
	}
	defer f.Close() // read only
	info, err := f.Stat()
	if err != nil {
		return sum{}, err
	}
	key := module + "\x00" + name
	d.mu.Lock()
	known, ok := d.sums[key]
	d.mu.Unlock()
	if ok && known.size == info.Size() && known.modified.Equal(info.ModTime()) {
		return known, nil
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return sum{}, err
	}
	fresh := sum{info.ModTime(), size, hex.EncodeToString(h.Sum(nil))}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sums[key] = fresh
	return fresh, nil
}
