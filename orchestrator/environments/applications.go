package environments

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/upstream"
)

// graph is what the Puppet Server answered about the applications of an
// environment.
type graph struct {
	components []job.Component
	none       bool // it tells nothing of them
	asked      time.Time
}

// Components are those of all applications in an environment, by node and
// reference; none if it has no applications. Errors are *job.Error where who
// asks can do something about it.
func (e *Environments) Components(ctx context.Context, environment string) ([]job.Component, error) {
	if !job.ValidEnvironment(environment) {
		return nil, nil
	}
	if e.server != nil {
		list, told, err := e.serverGraph(ctx, environment)
		if err != nil || told {
			return list, err
		}
	}
	if e.cfg.Files != "" {
		list, told, err := e.filed(environment)
		if err != nil || told {
			return list, err
		}
	}
	if e.cfg.Stored == nil {
		return nil, nil
	}
	return e.cfg.Stored(ctx, environment)
}

// filed reads the file of an environment, if there is one.
func (e *Environments) filed(environment string) (list []job.Component, told bool, err error) {
	name := filepath.Join(e.cfg.Files, environment+".json")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil {
		list, err = parseGraph(text, environment)
	}
	if err != nil {
		return nil, false, job.Unavailable(fmt.Errorf("read the applications in %s: %w", name, err))
	}
	return list, true, nil
}

// parseGraph reads the catalog of an environment.
func parseGraph(text []byte, environment string) ([]job.Component, error) {
	var catalog struct {
		Environment  string                          `json:"environment"`
		Applications map[string]map[string]component `json:"applications"`
	}
	if err := json.Unmarshal(text, &catalog); err != nil {
		return nil, err
	}
	if catalog.Environment != "" && catalog.Environment != environment {
		return nil, fmt.Errorf("environment is %q and not %q", catalog.Environment, environment)
	}
	if catalog.Applications == nil {
		return nil, errors.New("applications is missing")
	}
	list := []job.Component{}
	for name, components := range catalog.Applications {
		kind, title, ok := reference(name)
		if !ok {
			return nil, fmt.Errorf("applications has the name %q, which is not of the form Type[title]", name)
		}
		for ref, c := range components {
			if _, _, ok := reference(ref); !ok {
				return nil, fmt.Errorf("applications.%s has the component %q, which is not of the form Type[title]", name, ref)
			}
			if c.Node == "" {
				return nil, fmt.Errorf("applications.%s.%s.node is missing", name, ref)
			}
			list = append(list, job.Component{Type: kind, Title: title, Ref: ref, Certname: c.Node, Produces: c.Produces, Consumes: c.Consumes})
		}
	}
	slices.SortFunc(list, func(a, b job.Component) int {
		return cmp.Or(strings.Compare(a.Certname, b.Certname), strings.Compare(a.Ref, b.Ref), strings.Compare(a.Application(), b.Application()))
	})
	return list, nil
}

// component is one as the catalog of an environment has it.
type component struct {
	Produces []string `json:"produces"`
	Consumes []string `json:"consumes"`
	Node     string   `json:"node"`
}

// reference takes Type[title] apart.
func reference(text string) (kind, title string, ok bool) {
	kind, rest, found := strings.Cut(text, "[")
	title, closed := strings.CutSuffix(rest, "]")
	return kind, title, found && closed && kind != "" && title != ""
}

// serverGraph asks the Puppet Server for the applications of an environment;
// not told: it does not know such things. An answer is good for KeepFor; when
// the server stops answering, its last answer counts.
func (e *Environments) serverGraph(ctx context.Context, environment string) (list []job.Component, told bool, err error) {
	if !e.orchestrates(ctx) {
		return nil, false, nil
	}
	e.graphMu.Lock()
	defer e.graphMu.Unlock()
	last, known := e.graphs[environment]
	if !known || e.cfg.Now().Sub(last.asked) >= e.cfg.KeepFor {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Timeout)
		defer cancel()
		fresh, err := e.fetchGraph(ctx, environment)
		switch {
		case err == nil:
			last = fresh
		case !known:
			return nil, false, job.Unavailable(err)
		default:
			e.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "the Puppet Server does not tell the applications of an environment; its last answer counts",
				slog.String("environment", environment), slog.Any("error", err))
		}
		last.asked = e.cfg.Now()
		e.graphs[environment] = last
	}
	return last.components, !last.none, nil
}

// orchestrates tells whether the server may know applications: Puppet 7 does
// not. One that never answered is not asked.
func (e *Environments) orchestrates(ctx context.Context) bool {
	if _, err := e.ask(ctx); err != nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	major, _, _ := strings.Cut(e.version, ".")
	n, err := strconv.Atoi(major)
	return err != nil || n < 7
}

// fetchGraph asks. Answers that refuse are of servers that do not know the
// path, or whose auth.conf lets nobody ask.
func (e *Environments) fetchGraph(ctx context.Context, environment string) (graph, error) {
	var body json.RawMessage
	_, err := e.server.JSON(ctx, "/puppet/v3/environment/"+environment, nil, &body)
	var refused *upstream.AnswerError
	if errors.As(err, &refused) && slices.Contains([]int{http.StatusNotFound, http.StatusForbidden, http.StatusBadRequest}, refused.Status) {
		return graph{none: true}, nil
	}
	if err != nil {
		return graph{}, err
	}
	list, err := parseGraph(body, environment)
	if err != nil {
		return graph{}, fmt.Errorf("read the applications that the Puppet Server tells: %w", err)
	}
	return graph{components: list}, nil
}
