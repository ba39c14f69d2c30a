package orch

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"dalang/orchestrator/classifier"
	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// groupDoc is a node group as the API shows it.
type groupDoc struct {
	Name              string             `json:"name"`
	ID                string             `json:"id"`
	Description       string             `json:"description,omitempty"`
	Environment       string             `json:"environment"`
	EnvironmentTrumps bool               `json:"environment_trumps"`
	Parent            string             `json:"parent"`
	Rule              *classifier.Rule   `json:"rule"`
	Classes           classifier.Classes `json:"classes"`
	ConfigData        classifier.Classes `json:"config_data"`
	Variables         classifier.Params  `json:"variables"`
	LastEdited        exactMoment        `json:"last_edited"`
	SerialNumber      int64              `json:"serial_number"`
}

func newGroupDoc(g *classifier.Group) groupDoc {
	d := groupDoc{g.Name, g.ID, g.Description, g.Environment, g.EnvironmentTrumps, g.Parent, g.Rule, g.Classes, g.ConfigData, g.Variables,
		exactMoment(g.LastEdited), g.Serial}
	if d.Classes == nil {
		d.Classes = classifier.Classes{}
	}
	if d.ConfigData == nil {
		d.ConfigData = classifier.Classes{}
	}
	if d.Variables == nil {
		d.Variables = classifier.Params{}
	}
	return d
}

// wantsInherited tells whether values of the groups above are asked for.
func wantsInherited(r *http.Request) bool {
	v := r.URL.Query().Get("inherited")
	return r.URL.Query().Has("inherited") && v != "0" && v != "false"
}

func (a *Classifier) doc(r *http.Request, g *classifier.Group) (groupDoc, error) {
	if wantsInherited(r) {
		var err error
		if g, err = a.groups.Inherited(g.ID); err != nil {
			return groupDoc{}, err
		}
	}
	return newGroupDoc(g), nil
}

// listGroups answers GET /v1/groups: those that s may see.
func (a *Classifier) listGroups(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	docs := []groupDoc{}
	for _, g := range a.groups.Groups() {
		if !s.May("node_groups", "view", g.ID) {
			continue
		}
		doc, err := a.doc(r, &g)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
	}
	return WriteJSON(w, http.StatusOK, docs)
}

// getGroup answers GET /v1/groups/{group}.
func (a *Classifier) getGroup(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := a.groupIn(r, s)
	if err != nil {
		return err
	}
	doc, err := a.doc(r, g)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, doc)
}

// ignored takes the members of a group that clients send back and that nobody
// can set. An id must be the one in the path.
func (o *object) ignored(id string) error {
	for _, key := range []string{"last_edited", "deleted"} {
		o.take(key)
	}
	if given := o.text("id"); given != nil && id != "" && *given != id {
		return &job.Error{Kind: "conflicting-ids", Status: http.StatusBadRequest,
			Msg: "The id in the body is not the one in the path", Details: map[string]any{"submitted": *given, "fromUrl": id}}
	}
	return nil
}

// rule is the member rule; set is false when it is absent.
func (o *object) rule() (rule *classifier.Rule, set bool) {
	raw, set := o.members["rule"]
	o.take("rule")
	if !set {
		return nil, false
	}
	rule, err := classifier.ParseRule(raw)
	if err != nil {
		o.fail(classifier.BadRule(err))
	}
	return rule, true
}

// readGroup reads a body that is a whole group.
func readGroup(w http.ResponseWriter, r *http.Request, id string) (g classifier.Group, err error) {
	o, err := readMembers(w, r)
	if err != nil {
		return g, err
	}
	name, parent, classes := o.text("name"), o.text("parent"), o.values("classes")
	g = classifier.Group{ID: id, Description: o.str("description", ""), Environment: o.str("environment", "production"), Variables: o.values("variables")}
	if trumps := o.flag("environment_trumps"); trumps != nil {
		g.EnvironmentTrumps = *trumps
	}
	g.Rule, _ = o.rule()
	data := o.values("config_data")
	o.integer("serial_number", 0)
	if err := o.ignored(id); err != nil {
		return g, err
	}
	if err := o.done(); err != nil {
		return g, err
	}
	if name == nil || parent == nil || classes == nil {
		return g, rbac.Invalid("name, parent and classes are required")
	}
	g.Name, g.Parent = *name, *parent
	if g.Classes, err = classifier.ParseClasses("classes", classes); err != nil {
		return g, err
	}
	g.ConfigData, err = classifier.ParseClasses("config_data", data)
	return g, err
}

// editRule refuses who may not change the rules of groups below parent.
func (a *Classifier) editRule(s *rbac.Subject, parent string) error {
	if s.May("node_groups", "edit_child_rules", parent) {
		return nil
	}
	return a.allowed(s, "modify_children", parent)
}

// createGroup answers POST /v1/groups.
func (a *Classifier) createGroup(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := readGroup(w, r, "")
	if err != nil {
		return err
	}
	note(r, slog.String("name", shortened(g.Name)), slog.String("parent", shortened(g.Parent)))
	if err := a.allowed(s, "modify_children", g.Parent); err != nil {
		return err
	}
	made, err := a.groups.Create(r.Context(), g)
	if err != nil {
		return err
	}
	note(r, slog.String("group", made.ID))
	return seeOther(w, classifierRoot+"/v1/groups/"+made.ID)
}

// putGroup answers PUT /v1/groups/{group}.
func (a *Classifier) putGroup(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	id := pathVar(r, "group")
	if !classifier.IsID(id) {
		return classifier.MalformedUUID(id)
	}
	g, err := readGroup(w, r, id)
	if err != nil {
		return err
	}
	note(r, slog.String("name", shortened(g.Name)), slog.String("parent", shortened(g.Parent)))
	if before, err := a.groups.Group(id); err == nil {
		if err := a.allowed(s, "modify_children", before.Parent); err != nil {
			return err
		}
	}
	if err := a.allowed(s, "modify_children", g.Parent); err != nil {
		return err
	}
	put, changed, err := a.groups.Put(r.Context(), g)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if changed {
		status = http.StatusCreated
	}
	return WriteJSON(w, status, newGroupDoc(put))
}

// updateGroup answers POST /v1/groups/{group}.
func (a *Classifier) updateGroup(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := a.groupIn(r, s)
	if err != nil {
		return err
	}
	d, err := readDelta(w, r, g.ID)
	if err != nil {
		return err
	}
	if err := a.mayUpdate(s, g, &d); err != nil {
		return err
	}
	note(r, slog.String("name", shortened(g.Name)), slog.Bool("rule", d.SetRule), slog.Bool("moved", d.Parent != nil))
	after, err := a.groups.Update(r.Context(), g.ID, d)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, newGroupDoc(after))
}

func readDelta(w http.ResponseWriter, r *http.Request, id string) (d classifier.Delta, err error) {
	o, err := readMembers(w, r)
	if err != nil {
		return d, err
	}
	d = classifier.Delta{Name: o.text("name"), Description: o.text("description"), Environment: o.text("environment"), Parent: o.text("parent"),
		EnvironmentTrumps: o.flag("environment_trumps"), Serial: o.integer("serial_number", 0),
		Classes: o.values("classes"), ConfigData: o.values("config_data"), Variables: o.values("variables")}
	d.Rule, d.SetRule = o.rule()
	if err := o.ignored(id); err != nil {
		return d, err
	}
	return d, o.done()
}

// mayUpdate refuses who may not make a change. Who may change the groups below
// a group may change everything about them; less is enough for their rules,
// and for what a group says of its nodes.
func (a *Classifier) mayUpdate(s *rbac.Subject, g *classifier.Group, d *classifier.Delta) error {
	if d.Parent != nil && *d.Parent != g.Parent {
		if err := a.allowed(s, "modify_children", *d.Parent); err != nil {
			return err
		}
	}
	if s.May("node_groups", "modify_children", g.Parent) {
		return nil
	}
	if d.SetRule {
		if err := a.editRule(s, g.Parent); err != nil {
			return err
		}
	}
	if d.Classes != nil || d.ConfigData != nil || d.Variables != nil {
		if err := a.allowed(s, "edit_classification", g.ID); err != nil {
			return err
		}
	}
	if d.Name != nil || d.Description != nil || d.Parent != nil || d.Environment != nil || d.EnvironmentTrumps != nil {
		return a.allowed(s, "modify_children", g.Parent)
	}
	return nil
}

// deleteGroup answers DELETE /v1/groups/{group}.
func (a *Classifier) deleteGroup(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	g, err := a.groupIn(r, s)
	if err != nil {
		return err
	}
	if err := a.allowed(s, "modify_children", g.Parent); err != nil {
		return err
	}
	note(r, slog.String("name", shortened(g.Name)))
	if err := a.groups.Delete(r.Context(), g.ID); err != nil {
		return err
	}
	return noContent(w)
}

func missingNodes() *job.Error {
	return &job.Error{Kind: "missing-parameters", Status: http.StatusBadRequest,
		Msg: "Name nodes, in the parameter nodes or in the body as {\"nodes\": [...]}"}
}

// classified shows what the groups of a node say of it.
type classified func(*classifier.Classification) any

func (a *Classifier) classify(show classified) known {
	return func(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
		if err := a.allowed(s, "view", rbac.RootGroup); err != nil {
			return err
		}
		facts, err := readFacts(w, r)
		if err != nil {
			return err
		}
		if facts == nil && !s.May("nodes", "view_data", "*") {
			return rbac.Denied("You are not permitted to do this: it needs nodes:view_data:*")
		}
		c, err := a.groups.Classify(r.Context(), pathVar(r, "node"), facts)
		if err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, show(c))
	}
}

// readFacts reads the facts of a node; nil when there is no body.
func readFacts(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, error) {
	text, err := readText(w, r, maxCompanionBody)
	if err != nil || len(text) == 0 {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, rbac.Malformed("The body of the request is not JSON")
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	facts, trusted := o.values("fact"), o.data("trusted", maxCompanionBody)
	if err := o.done(); err != nil {
		return nil, err
	}
	if facts == nil {
		facts = map[string]json.RawMessage{}
	}
	facts["trusted"] = trusted
	return facts, nil
}

type groupRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func classifiedV1(c *classifier.Classification) any {
	ids := []string{}
	for _, g := range c.Groups {
		ids = append(ids, g.ID)
	}
	return struct {
		Name        string             `json:"name"`
		Environment string             `json:"environment"`
		Groups      []string           `json:"groups"`
		Classes     classifier.Classes `json:"classes"`
		Parameters  classifier.Params  `json:"parameters"`
	}{c.Name, c.Environment, ids, c.Classes, c.Variables}
}

func classifiedV2(c *classifier.Classification) any {
	refs := []groupRef{}
	for _, g := range c.Groups {
		refs = append(refs, groupRef{g.ID, g.Name})
	}
	return struct {
		Name        string             `json:"name"`
		Environment string             `json:"environment"`
		Groups      []groupRef         `json:"groups"`
		Classes     classifier.Classes `json:"classes"`
		Parameters  classifier.Params  `json:"parameters"`
		ConfigData  classifier.Classes `json:"config_data"`
	}{c.Name, c.Environment, refs, c.Classes, c.Variables, c.ConfigData}
}
