package orch

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// Limits of what a request may hold.
const (
	maxDescription = 4 << 10 // characters
	maxUserdata    = 64 << 10
	maxNodes       = 100_000
	maxQuery       = 1 << 20 // bytes of a query, or of the name of an application
)

var (
	tagList     = regexp.MustCompile(`(?i)\A[a-z0-9_][a-z0-9_:,.\-]*\z`)
	aroundComma = regexp.MustCompile(`\s*,\s*`)
)

// badEnvironment is the error for a text that is no environment's name.
func badEnvironment(name string) error {
	return invalid("environment", job.EnvironmentName, quoted(name))
}

// jobRef names a job in the answer to a command.
type jobRef struct {
	Job named `json:"job"`
}

// deploy answers POST /command/deploy: 202 as soon as the job and its nodes
// are stored; the runs come after.
func (a *API) deploy(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "puppet_agent", "run"); err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	d, err := parseDeploy(body)
	if err != nil {
		return err
	}
	note(r, slog.String("environment", d.Environment), slog.Bool("noop", d.Noop))
	noteScope(r, d.Scope)
	id, err := a.cfg.Engine.Deploy(r.Context(), s, d)
	if err != nil {
		return err
	}
	a.noteJob(r, id)
	return WriteJSON(w, http.StatusAccepted, jobRef{named{a.url(r, "/jobs/%d", id), fmt.Sprint(id)}})
}

// parseDeploy reads the union of what three generations of the API know
// (orchestrator.md §2.1).
func parseDeploy(o *object) (job.Deploy, error) {
	d := o.deployFlags()
	o.short("target")
	d.Target, d.Description, d.Userdata = o.text("target"), o.description(), o.data("userdata", maxUserdata)
	o.targets(&d)
	o.environment(&d)
	return d, o.done()
}

// deployFlags reads how Puppet is to run.
func (o *object) deployFlags() job.Deploy {
	d := job.Deploy{
		Noop: o.yes("noop"), NoNoop: o.yes("no_noop"), Debug: o.yes("debug"), Trace: o.yes("trace"), Evaltrace: o.yes("evaltrace"),
		Filetimeout: o.integer("filetimeout", 0), HTTPConnectTimeout: o.integer("http_connect_timeout", 0),
		HTTPKeepaliveTimeout: o.integer("http_keepalive_timeout", 0), HTTPReadTimeout: o.integer("http_read_timeout", 0),
		Ordering: o.oneOf("ordering", "manifest", "title-hash", "random"), Tags: o.tags("tags"), SkipTags: o.tags("skip_tags"),
		UseCachedCatalog: o.flag("use_cached_catalog"), Usecacheonfailure: o.flag("usecacheonfailure"),
		Timeout: o.integer("timeout", 1), Concurrency: o.concurrency(),
	}
	if d.Noop && d.NoNoop {
		o.wrong("no_noop", "false where noop is true", "true")
	}
	return d
}

// yes is a boolean member whose default is false.
func (o *object) yes(key string) bool {
	b := o.flag(key)
	return b != nil && *b
}

func (o *object) description() string {
	text := o.text("description")
	if text == nil {
		return ""
	}
	if n := utf8.RuneCountInString(*text); n > maxDescription {
		o.wrong("description", fmt.Sprintf("a string of at most %d characters", maxDescription), fmt.Sprintf("%d characters", n))
	}
	return *text
}

func (o *object) oneOf(key string, words ...string) *string {
	text := o.text(key)
	if text == nil {
		return nil
	}
	for _, word := range words {
		if *text == word {
			return text
		}
	}
	o.wrong(key, "one of "+strings.Join(words, ", "), quoted(*text))
	return nil
}

// tags is a list with commas; blanks around the commas are taken away.
func (o *object) tags(key string) *string {
	text := o.text(key)
	if text == nil {
		return nil
	}
	list := aroundComma.ReplaceAllString(strings.TrimSpace(*text), ",")
	if !tagList.MatchString(list) {
		o.wrong(key, "tags of letters, digits and _:.- with commas between them", quoted(*text))
	}
	return &list
}

func (o *object) concurrency() (c job.Concurrency) {
	if raw := o.take("concurrency"); raw != nil && json.Unmarshal(raw, &c) != nil {
		o.wrong("concurrency", `an integer of at least 1, or a range as [1,8], {"min":1,"max":8} or "1-8"`, shortened(string(raw)))
	}
	return c
}

// targets reads scope and target, of which one at most may be given. An empty
// scope does not mean the whole environment: clients send it by accident.
func (o *object) targets(d *job.Deploy) {
	if d.Target != nil && strings.TrimSpace(*d.Target) == "" {
		d.Target = nil
	}
	scope := o.object("scope")
	if scope == nil {
		return
	}
	d.Scope = scope.scope(agentNames())
	o.fail(scope.done())
	switch empty := d.Scope.Empty(); {
	case empty && d.Target == nil:
		o.wrong("scope", "an object with exactly one key", "empty")
	case !empty && d.Target != nil:
		o.wrong("target", "left out where scope is given", quoted(*d.Target))
	}
}

// short refuses a member that is larger than queries and names are: they are
// parsed while the client waits.
func (o *object) short(key string) {
	if n := len(o.members[key]); n > maxQuery {
		o.wrong(key, fmt.Sprintf("at most %d bytes of JSON", maxQuery), fmt.Sprintf("%d bytes", n))
	}
}

// scope reads the members of a scope: one at most may be given.
func (o *object) scope(names nodeRule) (s job.Scope) {
	var given []string
	for _, key := range []string{"nodes", "query", "node_group", "application", "whole_environment"} {
		if o.has(key) {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		o.fail(invalid(strings.TrimSuffix(o.path, "."), "an object with exactly one key", "an object with "+strings.Join(given, ", ")))
	}
	s.Nodes, s.GivenNodes = o.nodes("nodes", names)
	o.short("query")
	o.short("application")
	if s.Query = o.take("query"); s.Query != nil && what(s.Query) != "a string" && what(s.Query) != "an array" {
		o.wrong("query", "a PQL string or an AST array", what(s.Query))
	}
	if group := o.text("node_group"); group != nil {
		if id, err := uuid.Parse(*group); err != nil || len(*group) != 36 {
			o.wrong("node_group", "the UUID of a node group", quoted(*group))
		} else {
			s.NodeGroup = id.String()
		}
	}
	if app := o.text("application"); app != nil {
		if s.Application = strings.TrimSpace(*app); s.Application == "" {
			o.wrong("application", "Type or Type[title]", quoted(*app))
		}
	}
	if whole := o.flag("whole_environment"); whole != nil {
		if s.WholeEnvironment = *whole; !*whole {
			o.wrong("whole_environment", "true or left out", "false")
		}
	}
	return s
}

// environment reads which environment nodes run in. Without one they run in
// their own, and somebody has to say which nodes.
func (o *object) environment(d *job.Deploy) {
	name, enforce := o.text("environment"), o.flag("enforce_environment")
	if name == nil {
		o.wrong("environment", "the name of an environment, or empty where enforce_environment is false", "missing")
		return
	}
	d.Environment, d.EnforceEnvironment = *name, *name != ""
	switch {
	case *name != "" && !job.ValidEnvironment(*name):
		o.fail(badEnvironment(*name))
	case *name == "" && (d.Scope.Application != "" || d.Scope.WholeEnvironment):
		o.wrong("environment", "the name of an environment where scope is an application or the whole environment", "empty")
	case *name == "" && (enforce == nil || *enforce):
		got := "missing"
		if enforce != nil {
			got = "true"
		}
		o.wrong("enforce_environment", "false where environment is empty", got)
	case *name == "" && d.Scope.Empty():
		o.wrong("scope", "given where environment is empty", "missing")
	case enforce != nil:
		d.EnforceEnvironment = *enforce
	}
}
