// Package pdb holds the handlers of PuppetDB's own HTTP surface: /pdb/*,
// /status and /metrics. Handlers are methods `func(w, r) error`: they write a
// success themselves and return everything else as an error, which package
// server maps to a response in one place (server/errors.go).
package pdb

import "net/http"

// Route is one line of a route table. Package server mounts it.
type Route struct {
	Methods []string // nil: any method
	Path    string   // gorilla/mux template, from the root: /pdb/query/v4/nodes/{node}
	// Handle answers the request. After it has written a header it must not
	// return an error that is meant for the client: it is only logged.
	Handle func(http.ResponseWriter, *http.Request) error
	Doc    string // one line: what the route is for
}
