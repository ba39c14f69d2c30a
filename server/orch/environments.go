package orch

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"dalang/orchestrator/environments"
	"dalang/orchestrator/job"
)

// Environment is one that nodes can run in.
type Environment = environments.Environment

// Environments knows which environments there are and what is in them.
type Environments interface {
	// List is sorted by name.
	List(ctx context.Context) ([]Environment, error)
	// Known tells whether jobs can be for an environment. job.Unavailable where
	// that cannot be decided now.
	Known(ctx context.Context, name string) (bool, error)
	// Components are those of all applications in an environment.
	Components(ctx context.Context, environment string) ([]job.Component, error)
}

// environmentDoc is an environment.
type environmentDoc struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Applications link            `json:"applications"`
	Instances    link            `json:"instances"`
	Settings     json.RawMessage `json:"settings"` // null: not known
}

func (a *API) environmentDoc(r *http.Request, e Environment) environmentDoc {
	id := a.url(r, "/environments/%s", e.Name)
	return environmentDoc{id, e.Name, link{id + "/applications"}, link{id + "/instances"}, e.Settings}
}

// listEnvironments answers GET /environments.
func (a *API) listEnvironments(w http.ResponseWriter, r *http.Request, _ Subject) error {
	all, err := a.cfg.Environments.List(r.Context())
	if err != nil {
		return err
	}
	items := make([]environmentDoc, len(all))
	for i, e := range all {
		items[i] = a.environmentDoc(r, e)
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items []environmentDoc `json:"items"`
	}{items})
}

// environmentIn is the environment in the path, if jobs can be for it: a list
// has others, too.
func (a *API) environmentIn(r *http.Request) (Environment, error) {
	name := pathVar(r, "environment")
	if !job.ValidEnvironment(name) {
		return Environment{}, badEnvironment(name)
	}
	known, err := a.cfg.Environments.Known(r.Context(), name)
	if err == nil && !known {
		err = job.UnknownEnvironment(name)
	}
	if err != nil {
		return Environment{}, err
	}
	all, err := a.cfg.Environments.List(r.Context())
	if err != nil {
		return Environment{}, err
	}
	for _, e := range all {
		if e.Name == name {
			return e, nil
		}
	}
	return Environment{Name: name}, nil // it came or went just now
}

// getEnvironment answers GET /environments/:environment.
func (a *API) getEnvironment(w http.ResponseWriter, r *http.Request, _ Subject) error {
	e, err := a.environmentIn(r)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.environmentDoc(r, e))
}

// applicationDoc is an application. Where it is defined is not known: catalogs
// do not tell.
type applicationDoc struct {
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Parameters json.RawMessage `json:"parameters"`
	File       *string         `json:"file"`
	Line       *int            `json:"line"`
}

// instanceDoc is an instance of an application.
type instanceDoc struct {
	Type       string         `json:"type"`
	Title      string         `json:"title"`
	Components []componentDoc `json:"components"` // producers before their consumers
}

// componentDoc is a part of an instance, on one node.
type componentDoc struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Produces []string `json:"produces"`
	Consumes []string `json:"consumes"`
	Node     string   `json:"node"`
}

// components are those of the environment in the path.
func (a *API) components(r *http.Request) (Environment, []job.Component, error) {
	e, err := a.environmentIn(r)
	if err != nil {
		return e, nil, err
	}
	list, err := a.cfg.Environments.Components(r.Context(), e.Name)
	return e, list, err
}

// listApplications answers GET /environments/:environment/applications.
func (a *API) listApplications(w http.ResponseWriter, r *http.Request, _ Subject) error {
	e, components, err := a.components(r)
	if err != nil {
		return err
	}
	items := []applicationDoc{}
	for _, c := range components {
		known := slices.ContainsFunc(items, func(d applicationDoc) bool { return d.Name == c.Type })
		if !known {
			items = append(items, applicationDoc{Name: c.Type, Kind: "application", Parameters: json.RawMessage("{}")})
		}
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items     []applicationDoc `json:"items"`
		Instances link             `json:"instances"`
	}{items, link{a.url(r, "/environments/%s/instances", e.Name)}})
}

// listInstances answers GET /environments/:environment/instances.
func (a *API) listInstances(w http.ResponseWriter, r *http.Request, _ Subject) error {
	_, components, err := a.components(r)
	if err != nil {
		return err
	}
	items := []instanceDoc{}
	of := map[string][]job.Component{}
	for _, c := range components {
		name := c.Application()
		if of[name] == nil {
			items = append(items, instanceDoc{Type: c.Type, Title: c.Title})
		}
		of[name] = append(of[name], c)
	}
	for i := range items {
		items[i].Components = componentDocs(of[items[i].Type+"["+items[i].Title+"]"])
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items []instanceDoc `json:"items"`
	}{items})
}

// componentDocs sorts producers before their consumers; otherwise, and within
// a circle, components keep their order.
func componentDocs(list []job.Component) []componentDoc {
	docs := []componentDoc{}
	done := make([]bool, len(list))
	// waits tells whether a component consumes what another one, that is not
	// done, produces.
	waits := func(i int) bool {
		for j := range list {
			if j != i && !done[j] && slices.ContainsFunc(list[i].Consumes, func(ref string) bool { return slices.Contains(list[j].Produces, ref) }) {
				return true
			}
		}
		return false
	}
	for len(docs) < len(list) {
		pick := -1
		for i := range list {
			if done[i] {
				continue
			}
			if pick < 0 {
				pick = i // the first of a circle
			}
			if !waits(i) {
				pick = i
				break
			}
		}
		done[pick] = true
		docs = append(docs, newComponentDoc(list[pick]))
	}
	return docs
}

func newComponentDoc(c job.Component) componentDoc {
	kind, title, _ := strings.Cut(strings.TrimSuffix(c.Ref, "]"), "[")
	return componentDoc{kind, title, append([]string{}, c.Produces...), append([]string{}, c.Consumes...), c.Certname}
}
