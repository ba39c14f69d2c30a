package orch

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"dalang/orchestrator/classifier"
	"dalang/orchestrator/rbac"
)

const classifierRoot = "/classifier-api"

// Classifier answers /classifier-api: groups of nodes and their rules
// (orchestrator.md §4.2).
type Classifier struct {
	groups  *classifier.Classifier
	classes Classes
	auth    *Auth
}

// Classes knows the classes of Puppet.
type Classes interface {
	// Classes are by environment and name.
	Classes(ctx context.Context) ([]classifier.Class, error)
}

// NewClassifier makes the handlers.
func NewClassifier(groups *classifier.Classifier, classes Classes, auth *Auth) *Classifier {
	return &Classifier{groups, classes, auth}
}

// Routes is the route table of /classifier-api.
func (a *Classifier) Routes() []Route {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	var t []Route
	add := func(methods []string, path string, handle known, doc string) {
		t = append(t, Route{methods, classifierRoot + path, a.auth.guard(handle), doc})
	}
	add(get, "/v1/groups", a.listGroups, "all node groups")
	add(post, "/v1/groups", a.createGroup, "make a node group")
	add(get, "/v1/groups/{group}", a.getGroup, "one node group")
	add([]string{http.MethodPut}, "/v1/groups/{group}", a.putGroup, "make or replace a node group")
	add(post, "/v1/groups/{group}", a.updateGroup, "change a node group")
	add([]string{http.MethodDelete}, "/v1/groups/{group}", a.deleteGroup, "delete a node group")
	add(get, "/v1/groups/{group}/rules", a.groupRules, "the rules of a node group, with those of the groups above it and as queries")
	add(get, "/v1/groups/{group}/nodes", a.groupNodes, "the nodes of a node group")
	add(post, "/v1/groups/{group}/pin", a.pin, "add nodes to a node group by their names")
	add(post, "/v1/groups/{group}/unpin", a.unpin, "take back what pin did")
	add(post, "/v1/rules/translate", a.translate, "a query that says what a rule says")
	add(post, "/v1/classified/nodes/{node}", a.classify(classifiedV1), "what the groups of a node say of it")
	add(post, "/v2/classified/nodes/{node}", a.classify(classifiedV2), "what the groups of a node say of it")
	add(get, "/v1/classes", a.listClasses, "the classes that are in catalogs")
	return t
}

// classDoc is a class. Which parameters it has, and their defaults, is not in
// catalogs.
type classDoc struct {
	Name        string   `json:"name"`
	Environment string   `json:"environment"`
	Parameters  struct{} `json:"parameters"`
}

// listClasses answers GET /v1/classes.
func (a *Classifier) listClasses(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := a.allowed(s, "view", rbac.RootGroup); err != nil {
		return err
	}
	classes, err := a.classes.Classes(r.Context())
	if err != nil {
		return err
	}
	docs := make([]classDoc, len(classes))
	for i, c := range classes {
		docs[i] = classDoc{Name: c.Name, Environment: c.Environment}
	}
	return WriteJSON(w, http.StatusOK, docs)
}

// allowed refuses who may not do something to a group.
func (a *Classifier) allowed(s *rbac.Subject, action, group string) error {
	if s.May("node_groups", action, group) {
		return nil
	}
	return rbac.Denied("You are not permitted to do this: it needs node_groups:%s:%s, or the same on a group above it", action, group)
}

// groupIn is the group in the path, which s may see.
func (a *Classifier) groupIn(r *http.Request, s *rbac.Subject) (*classifier.Group, error) {
	id := pathVar(r, "group")
	if !classifier.IsID(id) {
		return nil, classifier.MalformedUUID(id)
	}
	if err := a.allowed(s, "view", id); err != nil {
		return nil, err
	}
	return a.groups.Group(id)
}

// groupRules answers GET /v1/groups/{group}/rules.
func (a *Classifier) groupRules(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := a.groupIn(r, s)
	if err != nil {
		return err
	}
	whole := a.groups.RuleOf(g.ID)
	type translated struct {
		Nodes     json.RawMessage `json:"nodes_query_format"`     // null: there is none
		Inventory json.RawMessage `json:"inventory_query_format"` // null: there is none
	}
	var t translated
	for _, f := range []struct {
		format classifier.Format
		into   *json.RawMessage
	}{{classifier.ForNodes, &t.Nodes}, {classifier.ForInventory, &t.Inventory}} {
		query, err := whole.Translate(f.format)
		var none *classifier.UntranslatableError
		if err != nil && !errors.As(err, &none) {
			return err
		}
		*f.into = query
	}
	return WriteJSON(w, http.StatusOK, struct {
		Rule       *classifier.Rule `json:"rule"`
		Inherited  *classifier.Rule `json:"rule_with_inherited"`
		Translated translated       `json:"translated"`
	}{g.Rule, whole, t})
}

// groupNodes answers GET /v1/groups/{group}/nodes.
func (a *Classifier) groupNodes(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := a.groupIn(r, s)
	if err != nil {
		return err
	}
	nodes, err := a.groups.Resolve(r.Context(), g.ID)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, struct {
		Nodes []string `json:"nodes"`
	}{append([]string{}, nodes...)})
}

// translate answers POST /v1/rules/translate.
func (a *Classifier) translate(w http.ResponseWriter, r *http.Request, _ *rbac.Subject) error {
	p := paramsOf(r)
	format := classifier.Format(p.oneOf("format", string(classifier.ForNodes), string(classifier.ForInventory)))
	if p.err != nil {
		return p.err
	}
	if format == "" {
		format = classifier.ForNodes
	}
	text, err := readJSON(w, r)
	if err != nil {
		return err
	}
	rule, err := classifier.ParseRule(text)
	switch {
	case err != nil:
		return classifier.BadRule(err)
	case rule == nil:
		return rbac.Invalid("The body must be a rule, and is null")
	}
	query, err := rule.Translate(format)
	if err != nil {
		return classifier.Untranslatable(err, rule)
	}
	return WriteJSON(w, http.StatusOK, struct {
		Query json.RawMessage `json:"query"`
	}{query})
}

// pin answers POST /v1/groups/{group}/pin.
func (a *Classifier) pin(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, names, err := a.pinned(w, r, s)
	if err == nil {
		err = a.groups.Pin(r.Context(), g.ID, names)
	}
	if err != nil {
		return err
	}
	return noContent(w)
}

// unpin answers POST /v1/groups/{group}/unpin.
func (a *Classifier) unpin(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, names, err := a.pinned(w, r, s)
	if err == nil {
		err = a.groups.Unpin(r.Context(), g.ID, names)
	}
	if err != nil {
		return err
	}
	return noContent(w)
}

// pinned reads which nodes to pin to which group, or to unpin.
func (a *Classifier) pinned(w http.ResponseWriter, r *http.Request, s *rbac.Subject) (*classifier.Group, []string, error) {
	g, err := a.groupIn(r, s)
	if err != nil {
		return nil, nil, err
	}
	if err := a.editRule(s, g.Parent); err != nil {
		return nil, nil, err
	}
	var names []string
	if r.URL.Query().Has("nodes") {
		names = strings.Split(r.URL.Query().Get("nodes"), ",")
	} else {
		if names, err = readNodes(w, r); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			return nil, nil, rbac.Invalid("nodes must be names, and has one that is empty")
		}
	}
	note(r, slog.Int("nodes", len(names)), slog.String("certnames", joined(names)))
	return g, names, nil
}

// readNodes reads a body that names nodes: one, or an array of them.
func readNodes(w http.ResponseWriter, r *http.Request) ([]string, error) {
	text, err := readText(w, r, maxCompanionBody)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, missingNodes()
	}
	if !json.Valid(text) {
		return nil, rbac.Malformed("The body of the request is not JSON")
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	if what(o.members["nodes"]) == "a string" {
		one := o.str("nodes", "")
		return []string{one}, o.done()
	}
	names, given := o.names("nodes", 100_000)
	if err := o.done(); err != nil {
		return nil, err
	}
	if !given {
		return nil, rbac.Invalid("nodes is required")
	}
	return names, nil
}
