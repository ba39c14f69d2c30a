package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
	"dalang/orchestrator/upstream"
)

// ServerConfig says which Puppet Server to ask. URL is required.
type ServerConfig struct {
	URL    string       // its paths are below it
	Client *http.Client // with a certificate that it accepts; nil: http.DefaultClient

	KeepFor time.Duration // how long a list, or a task, is good; default 30 s
	Timeout time.Duration // of asking for one; default 1 min
	Now     func() time.Time
}

// Server asks a Puppet Server. It is a Source. What the server answers is kept
// for KeepFor, by environment and task; its errors are not.
type Server struct {
	up    *upstream.Service
	cache *cache
}

// NewServer fills in defaults and asks nobody.
func NewServer(cfg ServerConfig) *Server {
	if cfg.KeepFor <= 0 {
		cfg.KeepFor = 30 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Server{upstream.New("the Puppet Server", cfg.URL, cfg.Client), newCache(cfg.KeepFor, cfg.Timeout, cfg.Now)}
}

// get asks for JSON.
func (s *Server) get(ctx context.Context, path, environment string, into any) error {
	_, err := s.up.JSON(ctx, path, url.Values{"environment": {environment}}, into)
	return worthAnotherTry(err)
}

// open asks for a file.
func (s *Server) open(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	res, err := s.up.Open(ctx, (&url.URL{Path: path}).EscapedPath(), query, "application/octet-stream")
	return res, worthAnotherTry(err)
}

// worthAnotherTry is job.Unavailable of whatever is not an answer.
func worthAnotherTry(err error) error {
	var a *upstream.AnswerError
	if err == nil || errors.As(err, &a) {
		return err
	}
	return job.Unavailable(err)
}

// refused makes what an answer that is not 200 means.
func refused(err error, environment string, missing error) error {
	var a *upstream.AnswerError
	if !errors.As(err, &a) {
		return err
	}
	var told struct{ Kind, Msg string }
	if json.Unmarshal([]byte(a.Body), &told) == nil && strings.HasPrefix(told.Kind, "puppet.tasks/") {
		return &task.Error{Kind: told.Kind, Msg: told.Msg}
	}
	switch {
	case a.Status == http.StatusNotFound && strings.Contains(strings.ToLower(a.Body), "environment"):
		return job.UnknownEnvironment(environment)
	case a.Status == http.StatusNotFound:
		return missing
	}
	return job.Unavailable(err)
}

// listed is a task or plan in a Puppet Server's list.
type listed struct {
	Name        string `json:"name"`
	Private     bool   `json:"private"`
	Description string `json:"description"`
	Environment []struct {
		CodeID *string `json:"code_id"`
	} `json:"environment"`
}

// catalog is a list as it is kept.
type catalog struct {
	entries []Entry
	code    string
}

func (s *Server) list(ctx context.Context, path, environment string) ([]Entry, string, error) {
	if !job.ValidEnvironment(environment) {
		return nil, "", job.UnknownEnvironment(environment)
	}
	l, err := cached(ctx, s.cache, path+"\x00"+environment, func(ctx context.Context) (catalog, error) {
		return s.askList(ctx, path, environment)
	})
	return slices.Clone(l.entries), l.code, err
}

func (s *Server) askList(ctx context.Context, path, environment string) (all catalog, err error) {
	var answer []listed
	if err := s.get(ctx, path, environment, &answer); err != nil {
		return all, refused(err, environment, job.UnknownEnvironment(environment))
	}
	for _, l := range answer {
		all.entries = append(all.entries, Entry{l.Name, l.Private, l.Description})
		if len(l.Environment) > 0 && l.Environment[0].CodeID != nil {
			all.code = *l.Environment[0].CodeID
		}
	}
	slices.SortFunc(all.entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Tasks is Source's.
func (s *Server) Tasks(ctx context.Context, environment string) ([]Entry, string, error) {
	return s.list(ctx, "/puppet/v3/tasks", environment)
}

// Plans is Source's. A Puppet Server as it is installed lets nobody ask.
func (s *Server) Plans(ctx context.Context, environment string) ([]Entry, error) {
	all, _, err := s.list(ctx, "/puppet/v3/plans", environment)
	return all, err
}

// Task is Source's.
func (s *Server) Task(ctx context.Context, environment, name string) (*task.Task, error) {
	if !task.ValidName(name) {
		return nil, unknownTask(environment, name)
	}
	if !job.ValidEnvironment(environment) {
		return nil, job.UnknownEnvironment(environment)
	}
	module, own := task.SplitName(name)
	path := "/puppet/v3/tasks/" + module + "/" + own
	t, err := cached(ctx, s.cache, path+"\x00"+environment, func(ctx context.Context) (*task.Task, error) {
		return s.askTask(ctx, environment, name, path)
	})
	if err != nil {
		return nil, err
	}
	mine := *t // its metadata are never changed
	mine.Files = slices.Clone(t.Files)
	return &mine, nil
}

func (s *Server) askTask(ctx context.Context, environment, name, path string) (*task.Task, error) {
	var answer struct {
		Metadata json.RawMessage `json:"metadata"`
		Files    []struct {
			Filename string `json:"filename"`
			SHA256   string `json:"sha256"`
			Size     int64  `json:"size_bytes"`
			URI      struct {
				Path   string         `json:"path"`
				Params map[string]any `json:"params"`
			} `json:"uri"`
		} `json:"files"`
	}
	if err := s.get(ctx, path, environment, &answer); err != nil {
		return nil, refused(err, environment, unknownTask(environment, name))
	}
	m, err := task.Parse(answer.Metadata)
	if err != nil {
		return nil, named(name, err)
	}
	t := &task.Task{Name: name, Metadata: m}
	for _, f := range answer.Files {
		// Agents take parameters that are strings only; null is for none.
		params := map[string]string{}
		for k, v := range f.URI.Params {
			if v != nil {
				params[k] = fmt.Sprint(v)
			}
		}
		t.Files = append(t.Files, task.File{Filename: f.Filename, SHA256: strings.ToLower(f.SHA256), Size: f.Size,
			URI: task.URI{Path: f.URI.Path, Params: params}})
	}
	return t, nil
}

// Plan is Source's: a Puppet Server tells that there are plans, not what is in
// them.
func (s *Server) Plan(_ context.Context, environment, name string) (*Plan, error) {
	return nil, job.UnknownPlan(environment, name)
}

// Open is Source's.
func (s *Server) Open(ctx context.Context, f task.File) (io.ReadCloser, error) {
	query := url.Values{}
	for k, v := range f.URI.Params {
		query.Set(k, v)
	}
	if !strings.HasPrefix(f.URI.Path, "/puppet/v3/") {
		return nil, fmt.Errorf("get %s: its path is not one of a Puppet Server's files", f.Filename)
	}
	res, err := s.open(ctx, f.URI.Path, query)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", f.Filename, err)
	}
	return checked(res.Body, f.SHA256), nil
}
