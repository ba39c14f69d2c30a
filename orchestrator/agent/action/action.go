package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"dalang/orchestrator/agent/pki"
)

// Order is all that a run needs. It travels to the worker in memory: params may
// hold secrets and never touch the disk.
type Order struct {
	Transaction string          `json:"transaction"`
	Module      string          `json:"module"`
	Action      string          `json:"action"`
	Params      json.RawMessage `json:"params"`
	Settings    Settings        `json:"settings"`
}

// Settings are the node's.
type Settings struct {
	Puppet        string            `json:"puppet"` // path of puppet
	Cache         string            `json:"cache"`  // directory of fetched files, by SHA-256
	PrimaryURIs   []string          `json:"primary_uris"`
	DownloadPaths []string          `json:"download_paths"` // prefixes of URL paths
	Files         pki.Files         `json:"files"`
	Interpreters  map[string]string `json:"interpreters"` // by extension, with its dot
	Timeout       time.Duration     `json:"timeout"`      // of all but Puppet, at most; 0: as the request says, else DefaultTimeout
	Grace         time.Duration     `json:"grace"`        // between SIGTERM and SIGKILL
	MaxOutput     int64             `json:"max_output"`   // bytes of either stream
	LockWait      time.Duration     `json:"lock_wait"`    // for another Puppet run
	RetryPause    time.Duration     `json:"retry_pause"`  // before a second attempt to fetch; doubles
}

// Result is how a run ended.
type Result struct {
	ExitCode int    `json:"exitcode"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	// Document: stdout is a JSON object, and the results of the action.
	Document bool `json:"document,omitempty"`
	// Error: the action could not be run, or not to its end. Why.
	Error string `json:"error,omitempty"`
}

// Results is the object that a response carries.
func (r Result) Results() json.RawMessage {
	if r.Document {
		return json.RawMessage(r.Stdout)
	}
	results := map[string]any{"exitcode": r.ExitCode}
	if r.Stdout != "" {
		results["stdout"] = r.Stdout
	}
	if r.Stderr != "" {
		results["stderr"] = r.Stderr
	}
	return mustJSON(results)
}

func failed(format string, args ...any) Result {
	return Result{ExitCode: 1, Error: fmt.Sprintf(format, args...)}
}

// mustJSON is for values that always have a JSON form.
func mustJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// Action is one thing that can be run.
type Action struct {
	// Check refuses params of the wrong shape, before anything happens.
	Check func(params json.RawMessage) error
	// Run does it. dir is empty but for files of the agent, private, and lasts
	// as long as the transaction is remembered; what Run puts there it removes.
	Run func(ctx context.Context, dir string, o *Order) Result
}

// modules is the registry: actions by module and name.
func modules() map[string]map[string]Action {
	return map[string]map[string]Action{
		"pxp-module-puppet": {"run": {checkPuppet, runPuppet}},
		"task":              {"run": {checkTask, runTask}},
		"command":           {"run": {checkCommand, runCommand}},
		"script":            {"run": {checkScript, runScript}},
		"file":              {"download": {checkDownload, runDownload}},
		"apply":             {"apply": {checkApply, runApply}},
	}
}

// Modules lists the names of all modules.
func Modules() []string {
	var names []string
	for name := range modules() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Find looks an action up. The error says whether module or action is unknown.
func Find(module, name string) (Action, error) {
	actions, ok := modules()[module]
	if !ok {
		return Action{}, fmt.Errorf("unknown module: %.80s", module)
	}
	action, ok := actions[name]
	if !ok {
		return Action{}, fmt.Errorf("unknown action '%.80s' for module '%s'", name, module)
	}
	return action, nil
}

// Run carries out an order in dir. A panic is a fault of ours, and the end of
// this run only.
func Run(ctx context.Context, dir string, o *Order) (r Result) {
	defer func() {
		if p := recover(); p != nil {
			r = failed("the agent failed: %v", p)
		}
	}()
	action, err := Find(o.Module, o.Action)
	if err != nil {
		return failed("%v", err)
	}
	if err := action.Check(o.Params); err != nil {
		return failed("invalid input: %v", err)
	}
	return action.Run(ctx, dir, o)
}

// decode reads params: an object. Unknown members are data of other versions.
func decode(params json.RawMessage, v any) error {
	if trimmed := bytes.TrimSpace(params); len(trimmed) == 0 || trimmed[0] != '{' {
		return fmt.Errorf("params must be an object")
	}
	return json.Unmarshal(params, v)
}
