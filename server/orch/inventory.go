package orch

import (
	"context"
	"net/http"
	"time"
)

// Connection is an agent that is connected.
type Connection struct {
	Certname string
	Broker   string // URI of the broker: pcp://<name of the server>/server
	Since    time.Time
}

// Inventory knows which agents are connected.
type Inventory interface {
	// Connections are those of agents, by certname. An error means that nobody
	// can know: the broker does not run.
	Connections(ctx context.Context) ([]Connection, error)
	// Connection is that of one agent, nil if there is none.
	Connection(ctx context.Context, certname string) (*Connection, error)
}

// connectionDoc is a node in the inventory: without a connection it has but a name.
type connectionDoc struct {
	Name      string       `json:"name"`
	Connected bool         `json:"connected"`
	Broker    string       `json:"broker,omitempty"`
	Timestamp *exactMoment `json:"timestamp,omitempty"`
}

func newConnectionDoc(name string, c *Connection) connectionDoc {
	if c == nil {
		return connectionDoc{Name: name}
	}
	since := exactMoment(c.Since)
	return connectionDoc{name, true, c.Broker, &since}
}

type connectionList struct {
	Items []connectionDoc `json:"items"`
}

// listInventory answers GET /inventory.
func (a *API) listInventory(w http.ResponseWriter, r *http.Request, _ Subject) error {
	connections, err := a.cfg.Inventory.Connections(r.Context())
	if err != nil {
		return err
	}
	list := connectionList{make([]connectionDoc, len(connections))}
	for i := range connections {
		list.Items[i] = newConnectionDoc(connections[i].Certname, &connections[i])
	}
	return WriteJSON(w, http.StatusOK, list)
}

// getInventory answers GET /inventory/:node.
func (a *API) getInventory(w http.ResponseWriter, r *http.Request, _ Subject) error {
	name := pathVar(r, "node")
	c, err := a.cfg.Inventory.Connection(r.Context(), name)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, newConnectionDoc(name, c))
}

// queryInventory answers POST /inventory, in the order of the request.
func (a *API) queryInventory(w http.ResponseWriter, r *http.Request, _ Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	names, given := body.names("nodes", maxNodes)
	if !given {
		body.wrong("nodes", "an array of certnames", "missing")
	}
	if err := body.done(); err != nil {
		return err
	}
	list := connectionList{make([]connectionDoc, len(names))}
	for i, name := range names {
		c, err := a.cfg.Inventory.Connection(r.Context(), name)
		if err != nil {
			return err
		}
		list.Items[i] = newConnectionDoc(name, c)
	}
	return WriteJSON(w, http.StatusOK, list)
}
