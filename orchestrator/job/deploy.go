package job

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// EnvironmentName is what names of environments are, for messages.
const EnvironmentName = "a name of letters, digits, _ and -, which does not begin with -"

// ValidEnvironment tells whether a name may be an environment's. Puppet takes no
// - in it, the documentation of command/task does (test-env-1). Such a name is
// safe as that of a file and as an argument.
func ValidEnvironment(name string) bool {
	return name != "" && len(name) <= 255 && name[0] != '-' && !strings.ContainsFunc(name, func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// Deploy is the command that runs Puppet. Its JSON is what a job's options
// show: every key, as given or defaulted (orchestrator.md §2.1, §3.1).
type Deploy struct {
	Environment          string          `json:"environment"`
	EnforceEnvironment   bool            `json:"enforce_environment"`
	Scope                Scope           `json:"scope"`
	Target               *string         `json:"target"` // deprecated: an application
	Noop                 bool            `json:"noop"`
	NoNoop               bool            `json:"no_noop"`
	Concurrency          Concurrency     `json:"concurrency"`
	Description          string          `json:"description"`
	Debug                bool            `json:"debug"`
	Trace                bool            `json:"trace"`
	Evaltrace            bool            `json:"evaltrace"`
	Filetimeout          *int64          `json:"filetimeout"`
	HTTPConnectTimeout   *int64          `json:"http_connect_timeout"`
	HTTPKeepaliveTimeout *int64          `json:"http_keepalive_timeout"`
	HTTPReadTimeout      *int64          `json:"http_read_timeout"`
	Ordering             *string         `json:"ordering"`
	Tags                 *string         `json:"tags"`
	SkipTags             *string         `json:"skip_tags"`
	UseCachedCatalog     *bool           `json:"use_cached_catalog"`
	Usecacheonfailure    *bool           `json:"usecacheonfailure"`
	Timeout              *int64          `json:"timeout"` // seconds, of one node
	Userdata             json.RawMessage `json:"userdata"`
	Firing               int64           `json:"-"` // of a schedule, see Draft; 0: none
}

// Scope is which nodes a command is for: exactly one member is set, or none.
type Scope struct {
	Nodes            []string        `json:"nodes,omitempty"`
	Query            json.RawMessage `json:"query,omitempty"` // a PQL string or an AST array
	NodeGroup        string          `json:"node_group,omitempty"`
	Application      string          `json:"application,omitempty"`
	WholeEnvironment bool            `json:"whole_environment,omitempty"`
	// GivenNodes tells an empty list of nodes from none.
	GivenNodes bool `json:"-"`
}

// Empty tells whether no member is set.
func (s Scope) Empty() bool {
	return s.Nodes == nil && !s.GivenNodes && s.Query == nil && s.NodeGroup == "" && s.Application == "" && !s.WholeEnvironment
}

// Concurrency is how many nodes may run at a time: n, [min,max],
// {"min":m,"max":n} or "m-n"; null is no limit. It is echoed as given.
type Concurrency struct {
	Given json.RawMessage // nil: null
	Max   int             // 0: no limit
}

// MarshalJSON gives what was given.
func (c Concurrency) MarshalJSON() ([]byte, error) {
	if c.Given == nil {
		return []byte("null"), nil
	}
	return c.Given, nil
}

// UnmarshalJSON reads any of the forms; its error says which are allowed.
func (c *Concurrency) UnmarshalJSON(text []byte) error {
	*c = Concurrency{}
	if string(text) == "null" {
		return nil
	}
	var given any
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	low, high, ok := bounds(given)
	if !ok || low < 1 || low > high {
		return fmt.Errorf(`concurrency must be an integer of at least 1, or a range as [1,8], {"min":1,"max":8} or "1-8", and is %.80s`, text)
	}
	c.Given, c.Max = append(json.RawMessage(nil), text...), high
	return nil
}

func bounds(given any) (low, high int, ok bool) {
	var lowOK, highOK bool
	switch v := given.(type) {
	case float64:
		high, ok = whole(v)
		return high, high, ok
	case string:
		a, b, found := strings.Cut(v, "-")
		low, lowErr := strconv.Atoi(strings.TrimSpace(a))
		high, highErr := strconv.Atoi(strings.TrimSpace(b))
		return low, high, found && lowErr == nil && highErr == nil
	case []any:
		if len(v) != 2 {
			return 0, 0, false
		}
		low, lowOK = whole(v[0])
		high, highOK = whole(v[1])
	case map[string]any:
		if len(v) != 2 {
			return 0, 0, false
		}
		low, lowOK = whole(v["min"])
		high, highOK = whole(v["max"])
	}
	return low, high, lowOK && highOK
}

// whole reads an integer; a float with a zero fraction is one.
func whole(v any) (int, bool) {
	f, ok := v.(float64)
	return int(f), ok && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32
}
