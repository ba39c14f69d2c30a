package planjob

import (
	"slices"
	"strings"

	"dalang/orchestrator/plan"
)

// shownResource is a resource as a job's options show it.
type shownResource struct {
	Type       string         `json:"type"`
	Title      string         `json:"title"`
	Parameters map[string]any `json:"parameters"`
	Sensitive  []string       `json:"sensitive"` // names of parameters that are not shown
}

func shownResources(a *plan.Action) []shownResource {
	shown := make([]shownResource, len(a.Resources))
	for i, r := range a.Resources {
		shown[i] = shownResource{strings.ToLower(r.Type), r.Title, map[string]any{}, append([]string{}, r.Secrets...)}
		for name, v := range r.Params {
			if !slices.Contains(r.Secrets, name) {
				shown[i].Parameters[name] = v
			}
		}
	}
	return shown
}

// object says what an action is about.
func object(a *plan.Action) string {
	if a.Kind != plan.Resources {
		return a.Object
	}
	refs := make([]string, len(a.Resources))
	for i := range a.Resources {
		refs[i] = a.Resources[i].Ref()
	}
	return strings.Join(refs, ", ")
}
