package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of the report of an application.
const (
	maxReport = 32 << 20 // bytes
	maxParts  = 1 << 20  // scalars, lists and maps
)

func sortedNames[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// wholeReport reads a report as JSON would have it; texts go through change.
func wholeReport(path string, change func(string) string) (map[string]any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	content, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxReport {
		return nil, fmt.Errorf("it has more than %d bytes", maxReport)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	p := plainYAML{change: change, left: maxParts}
	made, err := p.value(&document)
	if err != nil {
		return nil, err
	}
	report, is := made.(map[string]any)
	if !is || report["status"] == nil {
		return nil, errors.New("it is no map, or has no status")
	}
	return report, nil
}

// plainYAML makes values of JSON of Ruby's YAML, whose tags it does not know.
type plainYAML struct {
	change func(string) string
	left   int // parts that may still come: aliases can be many
}

func (p *plainYAML) value(n *yaml.Node) (any, error) {
	if p.left--; p.left < 0 {
		return nil, fmt.Errorf("it has more than %d parts", maxParts)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return nil, nil
		}
		return p.value(n.Content[0])
	case yaml.AliasNode:
		return p.value(n.Alias)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := p.value(c)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		hash := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			v, err := p.member(key, n.Content[i+1])
			if err != nil {
				return nil, err
			}
			if strings.Contains(key, "[") { // a resource's
				key = p.change(key)
			}
			hash[key] = v
		}
		return hash, nil
	case yaml.ScalarNode:
		return p.scalar(n), nil
	}
	return nil, nil
}

// member is the value of a key. Words of Puppet's own stay as they are: a secret
// may be one of them, and how a run ended must not depend on that.
func (p *plainYAML) member(key string, n *yaml.Node) (any, error) {
	if !slices.Contains([]string{"status", "level", "metrics", "transaction_uuid"}, key) {
		return p.value(n)
	}
	own := plainYAML{change: func(word string) string { return word }, left: p.left}
	v, err := own.value(n)
	p.left = own.left
	return v, err
}

func (p *plainYAML) scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) && n.Style == 0 {
			return json.Number(n.Value)
		}
	}
	return p.change(n.Value)
}
