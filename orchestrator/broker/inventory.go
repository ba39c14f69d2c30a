package broker

import (
	"encoding/json"
	"slices"
	"strings"

	"dalang/orchestrator/pcp"
)

// change is a peer that connected (delta 1) or went (-1). again: it took the
// place of its own earlier connection, which subscribers are not told.
type change struct {
	peer  pcp.URI
	delta int
	again bool
}

// subscription is what a session wants to be told. Broker.mu guards it.
type subscription struct {
	patterns []pcp.URI
	open     bool // the response is on its way
	pending  []inventoryChange
}

// inventoryChange is a change as subscribers are told.
type inventoryChange struct {
	Client string `json:"client"`
	Change int    `json:"change"`
}

func matchAny(patterns []pcp.URI, peer pcp.URI) bool {
	for _, p := range patterns {
		if p.Matches(peer) {
			return true
		}
	}
	return false
}

// note remembers a change for those who want to know. Callers hold mu.
func (b *Broker) note(c change) {
	if len(b.locals) > 0 {
		b.changes = append(b.changes, c)
		select {
		case b.changed <- struct{}{}:
		default:
		}
	}
	for _, sub := range b.subs {
		if !c.again && matchAny(sub.patterns, c.peer) {
			sub.pending = append(sub.pending, inventoryChange{c.peer.String(), c.delta})
		}
	}
}

// tellLocals tells the peers in this process of changes, without holding mu:
// they may want to send.
func (b *Broker) tellLocals() {
	b.mu.Lock()
	changes := b.changes
	b.changes = nil
	locals := make([]Local, 0, len(b.locals))
	for _, l := range b.locals {
		locals = append(locals, l)
	}
	b.mu.Unlock()
	for _, c := range changes {
		for _, l := range locals {
			l.Presence(c.peer, c.delta > 0)
		}
	}
}

// tellSubscribers sends what has gathered.
func (b *Broker) tellSubscribers() {
	updates := map[*session][]inventoryChange{}
	b.mu.Lock()
	for s, sub := range b.subs {
		if sub.open && sub.pending != nil {
			updates[s], sub.pending = sub.pending, nil
		}
	}
	b.mu.Unlock()
	for s, changes := range updates {
		b.tell(s, pcp.InventoryUpdate, "", map[string]any{"changes": changes})
	}
}

// inventory answers an inventory_request and begins or ends a subscription.
func (b *Broker) inventory(s *session, m *pcp.Message) {
	var data struct {
		Query     *[]string `json:"query"`
		Subscribe bool      `json:"subscribe"`
	}
	err := json.Unmarshal(m.Data, &data)
	if err != nil || data.Query == nil {
		b.reject(s, m, `The data of an inventory_request must be {"query":[URIs],"subscribe":boolean}.`)
		return
	}
	patterns := make([]pcp.URI, 0, len(*data.Query))
	for _, text := range *data.Query {
		pattern, err := pcp.ParseURI(text)
		if err != nil {
			b.reject(s, m, "The query of an inventory_request is of URIs, and one is "+strings.ToValidUTF8(text[:min(len(text), 200)], "?")+".")
			return
		}
		patterns = append(patterns, pattern)
	}
	sub := &subscription{patterns: patterns}
	b.mu.Lock()
	uris := b.matching(patterns)
	delete(b.subs, s)
	if data.Subscribe && b.sessions[s.uri] == s {
		b.subs[s] = sub
	}
	b.mu.Unlock()
	b.tell(s, pcp.InventoryResponse, m.ID, map[string]any{"uris": uris})
	b.mu.Lock()
	sub.open = true
	b.mu.Unlock()
}

// matching lists the connected peers that patterns cover, sorted. Callers hold mu.
func (b *Broker) matching(patterns []pcp.URI) []string {
	uris := []string{}
	for uri, s := range b.sessions {
		if matchAny(patterns, s.peer) {
			uris = append(uris, uri)
		}
	}
	slices.Sort(uris)
	return uris
}
