package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// catalogFormat is of catalogs whose resources say of what kind they are.
const catalogFormat = 2

// catalog is one without its name. Its JSON is the same whenever it is made of
// the same resources.
type catalog struct {
	Version     string         `json:"version"`
	Format      int            `json:"catalog_format"`
	Environment string         `json:"environment"`
	Classes     []string       `json:"classes"`
	Tags        []string       `json:"tags"`
	Resources   []resourceData `json:"resources"`
	Edges       []edge         `json:"edges"`
}

type resourceData struct {
	Type       string         `json:"type"`
	Title      string         `json:"title"`
	Kind       string         `json:"kind"`
	Exported   bool           `json:"exported"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Sensitive  []string       `json:"sensitive_parameters,omitempty"`
}

// edge says that Source contains Target.
type edge struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// Names of what contains all resources.
const (
	mainStage = "Stage[main]"
	mainClass = "Class[Main]"
	native    = "compilable_type" // of a type that is not made of resources
)

// Params are the parameters of the module apply for resources that Check has
// passed, all but the catalog's name, which For adds. version is what reports
// call the configuration's.
func Params(environment, version string, list []Resource, noop bool) map[string]any {
	c := catalog{Version: version, Format: catalogFormat, Environment: environment, Classes: []string{}, Tags: []string{}}
	c.Resources = []resourceData{{Type: "Stage", Title: "main", Kind: native}, {Type: "Class", Title: "main", Kind: "class"}}
	c.Edges = []edge{{mainStage, mainClass}}
	for i := range list {
		r := &list[i]
		one := resourceData{Type: capital(r.Type), Title: r.Title, Kind: native, Parameters: map[string]any{}}
		for name, v := range r.Params {
			if v != nil {
				one.Parameters[name] = v
			}
		}
		for _, name := range r.Secrets {
			if one.Parameters[name] != nil {
				one.Sensitive = append(one.Sensitive, name)
			}
		}
		if i+1 < len(list) {
			one.Parameters["before"] = and(one.Parameters["before"], list[i+1].Ref())
		}
		c.Resources = append(c.Resources, one)
		c.Edges = append(c.Edges, edge{mainClass, r.Ref()})
	}
	return map[string]any{"catalog": c, "apply_options": map[string]any{"noop": noop}}
}

// and adds a reference to those that there are.
func and(there any, ref string) []any {
	var all []any
	switch there := there.(type) {
	case nil:
	case []any:
		all = slices.Clone(there)
	default:
		all = []any{there}
	}
	if !slices.Contains(all, any(ref)) {
		all = append(all, ref)
	}
	return all
}

// For makes parameters of Params those of one node.
func For(params json.RawMessage, certname string) (json.RawMessage, error) {
	var p struct {
		Catalog json.RawMessage `json:"catalog"`
		Options json.RawMessage `json:"apply_options"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	members, is := bytes.CutPrefix(bytes.TrimSpace(p.Catalog), []byte("{"))
	if !is || len(p.Options) == 0 {
		return nil, errors.New("apply: the parameters have no catalog, or no apply_options")
	}
	name, err := json.Marshal(certname)
	if err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	made := slices.Concat([]byte(`{"catalog":{"name":`), name, []byte(","), members, []byte(`,"apply_options":`), p.Options, []byte("}"))
	return made, nil
}
