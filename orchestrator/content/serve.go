package content

import (
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"dalang/orchestrator/job"
)

// Prefix begins the paths that Handler serves.
const Prefix = "/puppet/v3/file_content/"

// served opens the file of a path as agents ask for it.
func (d *Directory) served(environment, path string) (*os.File, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(path, Prefix)
	mount, name, found := strings.Cut(rest, "/")
	if !ok || !found || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return nil, fs.ErrNotExist
	}
	if mount == "plugins" { // of all modules together
		for _, module := range slices.Sorted(maps.Keys(modules)) {
			f, err := inModule(modules[module], "lib/"+name)
			if !errors.Is(err, fs.ErrNotExist) {
				return f, err
			}
		}
		return nil, fs.ErrNotExist
	}
	directory, ok := map[string]string{"tasks": "tasks", "modules": "files", "scripts": "scripts"}[mount]
	module, within, inside := strings.Cut(name, "/")
	home, known := modules[module]
	if !ok || !inside || !known {
		return nil, fs.ErrNotExist
	}
	return inModule(home, directory+"/"+within)
}

// ServeHTTP answers GET /puppet/v3/file_content/<mount>/…?environment=E, as a
// Puppet Server does. Who may ask is for the caller to say.
func (d *Directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	environment := r.URL.Query().Get("environment")
	if environment == "" {
		http.Error(w, "Bad Request: the parameter environment is missing", http.StatusBadRequest)
		return
	}
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil {
		http.Error(w, "Bad Request: the path cannot be read", http.StatusBadRequest)
		return
	}
	f, err := d.served(environment, path)
	var unknown *job.Error
	switch {
	case errors.As(err, &unknown):
		http.Error(w, "Not Found: "+unknown.Msg, http.StatusNotFound)
		return
	case err != nil:
		// Links that lead out, directories and what may not be read: nobody
		// outside needs to know which.
		http.Error(w, "Not Found: Could not find file_content "+strings.TrimPrefix(path, Prefix), http.StatusNotFound)
		return
	}
	defer f.Close() // read only
	info, err := f.Stat()
	if err != nil {
		http.Error(w, "Not Found: Could not find file_content", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	http.ServeContent(w, r, "", info.ModTime(), f)
}
