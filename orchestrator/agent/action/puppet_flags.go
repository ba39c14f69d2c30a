package action

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// puppetParams are the params of a Puppet run.
type puppetParams struct {
	Flags []string `json:"flags"`
	Job   string   `json:"job"`
}

func checkPuppet(params json.RawMessage) error {
	var p puppetParams
	if err := decode(params, &p); err != nil {
		return err
	}
	if p.Flags == nil {
		return fmt.Errorf("flags is missing")
	}
	return nil
}

var (
	flagShape = regexp.MustCompile(`^[a-zA-Z0-9_:,.\-]+$`)
	jobShape  = regexp.MustCompile(`^[a-zA-Z0-9_:.][a-zA-Z0-9_:.\-]*$`)
)

// arguments makes the command line after "puppet agent". Order and repetitions
// are kept: an item may be the value of the one before.
func (p puppetParams) arguments() ([]string, error) {
	pending := "" // a flag that waits for its value
	var args []string
	for _, item := range p.Flags {
		item = strings.TrimSpace(item)
		name, isFlag := strings.CutPrefix(item, "--")
		switch {
		case !flagShape.MatchString(item):
			return nil, fmt.Errorf("flags: %.80q has characters that no flag has", item)
		case pending != "" && strings.HasPrefix(item, "-"):
			return nil, fmt.Errorf("flags: %s needs a value, and %s follows", pending, item)
		case pending != "":
			pending = ""
		case isFlag:
			takesValue, err := checkFlag(item, name)
			if err != nil {
				return nil, err
			}
			if takesValue {
				pending = item
			}
		default:
			return nil, fmt.Errorf("flags: %s is neither a flag nor the value of one", item)
		}
		args = append(args, item)
	}
	if pending != "" {
		return nil, fmt.Errorf("flags: %s needs a value", pending)
	}
	for _, always := range [...]string{"--onetime", "--no-daemonize", "--verbose"} {
		if !slices.Contains(args, always) {
			args = append(args, always)
		}
	}
	if p.Job == "" {
		return args, nil
	}
	if !jobShape.MatchString(p.Job) {
		return nil, fmt.Errorf("job: %.80q has characters that no job has", p.Job)
	}
	return append(args, "--job-id", p.Job), nil
}

// checkFlag tells whether an allowed flag takes a value.
func checkFlag(item, name string) (takesValue bool, err error) {
	name, negated := strings.CutPrefix(name, "no-")
	switch name {
	case "onetime", "verbose", "daemonize":
		if negated != (name == "daemonize") {
			return false, fmt.Errorf("flags: %s contradicts what every run has", item)
		}
		return false, nil
	case "debug", "evaltrace", "graph", "http_debug", "noop", "pluginsync", "show_diff", "splay",
		"strict_environment_mode", "trace", "use_cached_catalog", "usecacheonfailure":
		return false, nil
	case "color", "configtimeout", "disable_warnings", "environment", "filetimeout", "http_connect_timeout",
		"http_keepalive_timeout", "http_read_timeout", "log_level", "ordering", "skip_tags", "tags", "waitforcert":
		return !negated, nil
	}
	return false, fmt.Errorf("flags: %s is not permitted", item)
}
