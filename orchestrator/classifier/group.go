package classifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"dalang/orchestrator/job"
)

// Params are values by name, each as JSON.
type Params map[string]json.RawMessage

// Classes are the parameters of classes by the names of the classes.
type Classes map[string]Params

// Group is a group of nodes.
type Group struct {
	ID, Name, Description string
	Environment           string
	EnvironmentTrumps     bool
	Parent                string
	Rule                  *Rule // nil: no nodes
	Classes, ConfigData   Classes
	Variables             Params
	LastEdited            time.Time
	Serial                int64 // goes up with every change
}

var idForm = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z`)

// IsID tells whether a text has the form of a group's id.
func IsID(text string) bool { return idForm.MatchString(text) }

// check refuses what no group may be like, on its own.
func (g *Group) check() error {
	switch {
	case strings.TrimSpace(g.Name) == "" || len(g.Name) > 1<<10 || !utf8.ValidString(g.Name):
		return violation("name must be a text of 1 to 1024 bytes, and is %.80q", g.Name)
	case len(g.Description) > 64<<10:
		return violation("description must have at most 65536 bytes, and has %d", len(g.Description))
	case !job.ValidEnvironment(g.Environment):
		return violation("environment must be %s, and is %.80q", job.EnvironmentName, g.Environment)
	case !IsID(g.Parent):
		return violation("parent must be the id of a group, and is %.80q", g.Parent)
	}
	return nil
}

// Delta is a change of a group: what is nil stays. Of Classes, ConfigData and
// Variables, members replace those of the group, null takes one away.
type Delta struct {
	Name, Description, Environment, Parent *string
	EnvironmentTrumps                      *bool
	SetRule                                bool // Rule is the new rule, or nil to take it away
	Rule                                   *Rule
	Classes, ConfigData                    map[string]json.RawMessage
	Variables                              map[string]json.RawMessage
	Serial                                 *int64 // what the caller saw; nil: whatever it is
}

// apply gives the group as the delta wants it.
func (d *Delta) apply(g Group) (Group, error) {
	for _, text := range []struct{ from, to *string }{
		{d.Name, &g.Name}, {d.Description, &g.Description}, {d.Environment, &g.Environment}, {d.Parent, &g.Parent},
	} {
		if text.from != nil {
			*text.to = *text.from
		}
	}
	if d.EnvironmentTrumps != nil {
		g.EnvironmentTrumps = *d.EnvironmentTrumps
	}
	if d.SetRule {
		g.Rule = d.Rule
	}
	var err error
	if g.Classes, err = merged("classes", g.Classes, d.Classes); err != nil {
		return g, err
	}
	if g.ConfigData, err = merged("config_data", g.ConfigData, d.ConfigData); err != nil {
		return g, err
	}
	g.Variables = overlaid(g.Variables, d.Variables)
	return g, nil
}

// merged changes classes by a delta.
func merged(key string, classes Classes, delta map[string]json.RawMessage) (Classes, error) {
	out := Classes{}
	maps.Copy(out, classes)
	for name, text := range delta {
		if isNull(text) {
			delete(out, name)
			continue
		}
		var params map[string]json.RawMessage
		if json.Unmarshal(text, &params) != nil {
			return nil, violation("%s.%s must be an object of parameters, and is %.80s", key, name, text)
		}
		out[name] = overlaid(out[name], params)
	}
	return out, nil
}

// overlaid changes values by a delta.
func overlaid(params Params, delta map[string]json.RawMessage) Params {
	out := Params{}
	maps.Copy(out, params)
	for name, text := range delta {
		if isNull(text) {
			delete(out, name)
		} else {
			out[name] = text
		}
	}
	return out
}

// ParseClasses reads the object of classes that key is.
func ParseClasses(key string, members map[string]json.RawMessage) (Classes, error) {
	return merged(key, nil, members)
}

func isNull(text json.RawMessage) bool { return string(bytes.TrimSpace(text)) == "null" }

// same tells whether two groups say the same; what tells of changes does not count.
func (g *Group) same(o *Group) (bool, error) {
	var text [2]string
	for i, one := range []Group{*g, *o} {
		one.LastEdited, one.Serial = time.Time{}, 0
		b, err := json.Marshal(one)
		if err != nil {
			return false, fmt.Errorf("compare groups: %w", err)
		}
		text[i] = string(b)
	}
	return text[0] == text[1], nil
}

// decoded is a JSON value with its numbers as they were written; nil if the
// text is none.
func decoded(text json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}
