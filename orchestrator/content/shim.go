package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // the files of the tasks
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// shimModule is the module whose tasks Bolt's transport over pcp runs for
// commands, scripts and uploads (orchestrator.md §7.3).
const shimModule = "bolt_shim"

// Shim adds the tasks of the module bolt_shim to environments that lack them,
// so that Bolt's commands, scripts and uploads work without it. They are not
// listed. bolt_shim::command is run by the agents' own module command;
// bolt_shim::script and bolt_shim::upload have files, which agents get from
// here: they are there with a Directory only.
type Shim struct {
	Source
	directory *Directory // nil: agents get files from a Puppet Server
}

// WithShim adds the tasks to a source.
func WithShim(s Source) *Shim {
	d, _ := s.(*Directory)
	return &Shim{s, d}
}

//go:embed shim/script.sh
var shimScript string

//go:embed shim/upload.sh
var shimUpload string

const (
	shimCommandMetadata = `{"description":"Runs a command: for Bolt","private":true,"input_method":"stdin",
		"parameters":{"command":{"type":"String","description":"a line for the shell"}}}`
	shimScriptMetadata = `{"description":"Runs a script: for Bolt","private":true,"input_method":"stdin","parameters":{
		"content":{"type":"String","sensitive":true,"description":"the script, in base64"},
		"arguments":{"type":"Array[String]","description":"its arguments"},
		"name":{"type":"Optional[String]","description":"its name"}}}`
	shimUploadMetadata = `{"description":"Writes a file or a directory: for Bolt","private":true,"input_method":"stdin","parameters":{
		"path":{"type":"String","description":"where to"},
		"content":{"type":"String","sensitive":true,"description":"the file, or the directory as tar.gz, in base64"},
		"mode":{"type":"Integer","description":"its mode"},
		"directory":{"type":"Boolean","description":"whether it is a directory"}}}`
)

// shimTask is a task of the module by its own name, with the text of its file.
func shimTask(own string) (metadata, text string, ok bool) {
	switch own {
	case "command":
		return shimCommandMetadata, "", true
	case "script":
		return shimScriptMetadata, shimScript, true
	case "upload":
		return shimUploadMetadata, shimUpload, true
	}
	return "", "", false
}

// shimFile is the file of a task of the module by the path under which it is
// served.
func shimFile(path string) (text string, ok bool) {
	own, ours := strings.CutPrefix(path, Prefix+"tasks/"+shimModule+"/")
	own, sh := strings.CutSuffix(own, ".sh")
	_, text, known := shimTask(own)
	return text, ours && sh && known && text != ""
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Task is Source's.
func (s *Shim) Task(ctx context.Context, environment, name string) (*task.Task, error) {
	found, err := s.Source.Task(ctx, environment, name)
	if !errors.Is(err, job.UnknownTask("", "")) {
		return found, err
	}
	module, own := task.SplitName(name)
	metadata, text, ok := shimTask(own)
	if module != shimModule || !ok || text != "" && s.directory == nil {
		return nil, err
	}
	m, parseErr := task.Parse([]byte(metadata))
	if parseErr != nil {
		return nil, parseErr
	}
	t := &task.Task{Name: name, Metadata: m}
	if text == "" {
		t.Command = true
		return t, nil
	}
	uri, uriErr := fileURI(environment, shimModule+"/tasks/"+own+".sh")
	if uriErr != nil {
		return nil, uriErr
	}
	t.Files = []task.File{{Filename: own + ".sh", SHA256: sumOf(text), Size: int64(len(text)), URI: uri}}
	return t, nil
}

// Open is Source's.
func (s *Shim) Open(ctx context.Context, f task.File) (io.ReadCloser, error) {
	if text, ok := shimFile(f.URI.Path); ok && f.SHA256 == sumOf(text) {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	return s.Source.Open(ctx, f)
}

// Files is that of a source that has files for plans.
func (s *Shim) Files(ctx context.Context, environment, name string) ([]Placed, error) {
	if source, ok := s.Source.(interface {
		Files(ctx context.Context, environment, name string) ([]Placed, error)
	}); ok {
		return source.Files(ctx, environment, name)
	}
	return nil, noFile(environment, name)
}

// ServeHTTP is Directory's, with the files of these tasks where the environment
// has no others. It is there with a Directory only.
func (s *Shim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if text, ok := shimFile(path); ok && err == nil {
		if f, err := s.directory.served(r.URL.Query().Get("environment"), path); err == nil {
			f.Close() // read only
		} else if errors.Is(err, fs.ErrNotExist) {
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(text)))
			return
		}
	}
	s.directory.ServeHTTP(w, r)
}
