package orch

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// rootDoc tells what is served.
type rootDoc struct {
	Info        infoDoc `json:"info"`
	Status      named   `json:"status"`
	Collections []named `json:"collections"`
	Commands    []named `json:"commands"`
}

type infoDoc struct {
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Warning     string     `json:"warning"`
	Version     string     `json:"version"`
	License     licenseDoc `json:"license"`
}

type licenseDoc struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// getRoot answers GET /orchestrator/v1 from the route table: what is not
// served is not told.
func (a *API) getRoot(w http.ResponseWriter, r *http.Request, _ Subject) error {
	doc := rootDoc{
		Info: infoDoc{
			Title: "Orchestrator API", Description: "Runs Puppet on nodes, on demand", Version: a.cfg.Version,
			License: licenseDoc{"Apache License, Version 2.0", "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Status:      named{a.url(r, "/status"), "status"},
		Collections: []named{}, Commands: []named{},
	}
	for _, route := range a.Routes() {
		below, ok := strings.CutPrefix(route.Path, root+"/")
		entry := named{a.base(r) + route.Path, path.Base(route.Path)}
		switch {
		case !ok, below == "status", strings.Contains(below, "{"):
		case strings.HasPrefix(below, "command/"):
			doc.Commands = append(doc.Commands, entry)
		case !slices.Contains(doc.Collections, entry):
			doc.Collections = append(doc.Collections, entry)
		}
	}
	return WriteJSON(w, http.StatusOK, doc)
}

// getStatus answers GET /orchestrator/v1/status, which the root document names.
func (a *API) getStatus(w http.ResponseWriter, r *http.Request, _ Subject) error {
	where := link{a.base(r) + "/status/v1/services/orchestrator-service"}
	w.Header().Set("Location", where.ID)
	return WriteJSON(w, http.StatusTemporaryRedirect, where)
}
