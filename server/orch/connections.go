package orch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// ConnectionStore keeps how to reach nodes that have no agent.
type ConnectionStore interface {
	// AddConnections stores nothing if there are duplicates, unless replace.
	AddConnections(ctx context.Context, list []job.StoredConnection, replace bool) (duplicates []string, err error)
	// Connections are those of some nodes, of all for nil.
	Connections(ctx context.Context, certnames []string) ([]job.StoredConnection, error)
	DeleteConnections(ctx context.Context, certnames []string) error
}

// Connections answers /inventory/v1: connections to nodes without an agent
// (orchestrator.md §4.5).
type Connections struct {
	api     *API
	store   ConnectionStore
	secrets orchestrator.Secrets
}

// NewConnections shares the API's way to authenticate and its limits.
func NewConnections(api *API, store ConnectionStore, secrets orchestrator.Secrets) (*Connections, error) {
	if api == nil || store == nil || secrets == nil {
		return nil, errors.New("orch: connections need an API, a store and a keeper of secrets")
	}
	return &Connections{api, store, secrets}, nil
}

// Routes is the route table of connections.
func (c *Connections) Routes() []Route {
	const inventory = "/inventory/v1"
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	return []Route{
		{post, inventory + "/command/create-connection", c.api.guard(c.create), "store how to reach nodes without an agent"},
		{post, inventory + "/command/delete-connection", c.api.guard(c.remove), "forget how to reach nodes without an agent"},
		{get, inventory + "/query/connections", c.api.guard(c.show), "connections to nodes without an agent"},
		{post, inventory + "/query/connections", c.api.guard(c.query), "connections to nodes without an agent"},
	}
}

// create answers POST /command/create-connection.
func (c *Connections) create(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "nodes", "edit_inventory"); err != nil {
		return err
	}
	body, err := c.api.readBody(w, r)
	if err != nil {
		return err
	}
	list, replace, err := c.parse(body)
	if err != nil {
		return err
	}
	note(r, slog.Int("nodes", len(list)), slog.String("certnames", joined(certnamesOf(list))), slog.String("type", list[0].Type), slog.Bool("replace", replace))
	duplicates, err := c.store.AddConnections(r.Context(), list, replace)
	if err != nil {
		return err
	}
	if len(duplicates) > 0 {
		return &job.Error{Kind: "puppetlabs.inventory/duplicate-certnames", Status: http.StatusConflict, Details: map[string]any{"certnames": duplicates},
			Msg: fmt.Sprintf("There are connections for %s already", shortened(fmt.Sprint(duplicates)))}
	}
	note(r, slog.String("connection_id", list[0].ID.String()))
	return WriteJSON(w, http.StatusCreated, struct {
		ID uuid.UUID `json:"connection_id"`
	}{list[0].ID})
}

func certnamesOf(list []job.StoredConnection) (names []string) {
	for i := range list {
		names = append(names, list[i].Certname)
	}
	return names
}

// parse reads one connection of several nodes. What is a secret is sealed.
func (c *Connections) parse(o *object) ([]job.StoredConnection, bool, error) {
	certnames, _ := o.nodes("certnames", hostNames())
	if len(certnames) == 0 {
		o.wrong("certnames", "an array of at least one certname", "missing or empty")
	}
	kind, duplicates := o.transport("type"), o.oneOf("duplicates", "error", "replace")
	if duplicates == nil {
		o.wrong("duplicates", "error or replace", "missing")
	}
	whole := connectionOf(o, kind, len(certnames) > 1)
	if err := o.done(); err != nil {
		return nil, false, err
	}
	secret := job.Connection{User: whole.User, Password: whole.Password, PrivateKey: whole.PrivateKey, SudoPassword: whole.SudoPassword}
	whole.User, whole.Password, whole.PrivateKey, whole.SudoPassword = "", "", "", ""
	parameters, err := json.Marshal(whole)
	if err != nil {
		return nil, false, err
	}
	hidden, err := json.Marshal(secret)
	if err != nil {
		return nil, false, err
	}
	id := uuid.New()
	var list []job.StoredConnection
	slices.Sort(certnames)
	for _, certname := range slices.Compact(certnames) {
		list = append(list, job.StoredConnection{Certname: certname, ID: id, Type: kind, Parameters: parameters,
			Sealed: orchestrator.SealConnection(c.secrets, hidden)})
	}
	return list, *duplicates == "replace", nil
}

// connectionOf reads parameters and sensitive_parameters, in which of them
// something is does not matter, but to what is told of mistakes. A user may be
// called username.
func connectionOf(o *object, transport string, several bool) job.Connection {
	both := &object{path: "parameters.", members: map[string]json.RawMessage{}, lenient: o.lenient}
	for _, key := range []string{"parameters", "sensitive_parameters"} {
		if !o.has(key) {
			o.wrong(key, "an object", "missing")
		}
		given := o.values(key)
		if name, other := given["username"]; other {
			given["user"] = name
			delete(given, "username")
		}
		maps.Copy(both.members, given)
		if key == "sensitive_parameters" {
			both.secret = slices.Collect(maps.Keys(given))
		}
	}
	c := both.connection(transport)
	if c.Hostname != "" && several {
		both.wrongValue("hostname", "left out where there are several certnames", quoted(c.Hostname))
	}
	both.checkLogin(transport, &c)
	o.fail(both.done())
	return c
}

// remove answers POST /command/delete-connection.
func (c *Connections) remove(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "nodes", "edit_inventory"); err != nil {
		return err
	}
	body, err := c.api.readBody(w, r)
	if err != nil {
		return err
	}
	certnames, given := body.names("certnames", maxNodes)
	if !given {
		body.wrong("certnames", "an array of certnames", "missing")
	}
	if err := body.done(); err != nil {
		return err
	}
	note(r, slog.Int("nodes", len(certnames)), slog.String("certnames", joined(certnames)))
	if err := c.store.DeleteConnections(r.Context(), certnames); err != nil {
		return err
	}
	return noContent(w)
}

// query answers POST /query/connections.
func (c *Connections) query(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := c.api.readBody(w, r)
	if err != nil {
		return err
	}
	certnames, given := body.names("certnames", maxNodes)
	if !given {
		certnames = nil
	}
	sensitive := body.loose("sensitive")
	extract, _ := body.names("extract", len(connectionKeys()))
	for i, key := range extract {
		if !slices.Contains(connectionKeys(), key) {
			body.wrong(fmt.Sprintf("extract[%d]", i), fmt.Sprintf("one of %v", connectionKeys()), quoted(key))
		}
	}
	if err := body.done(); err != nil {
		return err
	}
	return c.answer(w, r, s, certnames, sensitive, extract)
}

// show answers GET /query/connections.
func (c *Connections) show(w http.ResponseWriter, r *http.Request, s Subject) error {
	p := paramsOf(r)
	sensitive := p.oneOf("sensitive", "true", "false") == "true"
	for _, key := range p.values["extract"] {
		if !slices.Contains(connectionKeys(), key) {
			p.wrong("extract", fmt.Sprintf("one of %v", connectionKeys()), key)
		}
	}
	if p.err != nil {
		return p.err
	}
	return c.answer(w, r, s, p.values["certname"], sensitive, p.values["extract"])
}

// connectionKeys are the keys of a connection.
func connectionKeys() []string {
	return []string{"connection_id", "certnames", "type", "parameters", "sensitive_parameters"}
}

// answer writes connections, several nodes that have the same as one.
func (c *Connections) answer(w http.ResponseWriter, r *http.Request, s Subject, certnames []string, sensitive bool, extract []string) error {
	if sensitive {
		noteAlways(r, slog.String("shown", "secrets of connections"))
		if err := permit(s, "nodes", "view_inventory_sensitive"); err != nil {
			return err
		}
	}
	list, err := c.store.Connections(r.Context(), certnames)
	if err != nil {
		return err
	}
	items := []map[string]any{}
	at := map[uuid.UUID]int{}
	for _, stored := range list {
		if i, known := at[stored.ID]; known {
			items[i]["certnames"] = append(items[i]["certnames"].([]string), stored.Certname)
			continue
		}
		item := map[string]any{"connection_id": stored.ID, "certnames": []string{stored.Certname}, "type": stored.Type, "parameters": stored.Parameters}
		if sensitive {
			whole, err := orchestrator.OpenConnection(c.secrets, stored)
			if err != nil {
				return err
			}
			item["sensitive_parameters"] = job.Connection{User: whole.User, Password: whole.Password, PrivateKey: whole.PrivateKey, SudoPassword: whole.SudoPassword}
		}
		at[stored.ID] = len(items)
		items = append(items, item)
	}
	for _, item := range items {
		for key := range item {
			if len(extract) > 0 && !slices.Contains(extract, key) {
				delete(item, key)
			}
		}
	}
	return WriteJSON(w, http.StatusOK, map[string]any{"items": items})
}
