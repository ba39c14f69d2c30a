package orch

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"

	"dalang/orchestrator/job"
)

var (
	digits      = regexp.MustCompile(`\A[0-9]+\z`)
	wholeNumber = regexp.MustCompile(`\A([0-9]+)\.0+\z`) // an integer, as some clients write it
)

// stopped is the answer to a stop: how many nodes are in which state. The six
// documented states are always there, the others when they are not zero.
type stopped struct {
	named
	Nodes map[job.State]int `json:"nodes"`
}

// stop answers POST /command/stop, any number of times for the same job.
func (a *API) stop(w http.ResponseWriter, r *http.Request, _ Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	id, force, err := parseStop(body)
	if err != nil {
		return err
	}
	note(r, slog.Int64("job", id), slog.Bool("force", force))
	counts, err := a.cfg.Engine.Stop(r.Context(), id, force)
	if err != nil {
		return err
	}
	nodes := map[job.State]int{job.New: 0, job.Running: 0, job.Failed: 0, job.Errored: 0, job.Skipped: 0, job.Finished: 0}
	for state, n := range counts {
		if n > 0 {
			nodes[state] = n
		}
	}
	return WriteJSON(w, http.StatusAccepted, struct {
		Job stopped `json:"job"`
	}{stopped{named{a.url(r, "/jobs/%d", id), strconv.FormatInt(id, 10)}, nodes}})
}

// parseStop reads the name of a job.
func parseStop(o *object) (id int64, force bool, err error) {
	force = o.yes("force")
	name := o.serial("job", "the name of a job: a string of digits")
	if err := o.done(); err != nil {
		return 0, false, err
	}
	id, err = jobID(name)
	return id, force, err
}

// serial is a member that names something by its number: a string of digits, or
// an integer. It is required.
func (o *object) serial(key, expected string) string {
	raw := o.take(key)
	var name string
	switch kind := what(raw); {
	case kind == "a number":
		if name = wholeNumber.ReplaceAllString(string(raw), "$1"); !digits.MatchString(name) {
			o.wrong(key, expected, shortened(name))
		}
	case kind != "a string" || json.Unmarshal(raw, &name) != nil:
		o.wrong(key, expected, kind)
	case !digits.MatchString(name):
		o.wrong(key, expected, quoted(name))
	}
	return name
}

// jobID reads digits. A number that no counter reaches is no job.
func jobID(name string) (int64, error) {
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		e := job.UnknownJob(0)
		e.Msg, e.Details = "Unknown job "+shortened(name), map[string]any{"job": shortened(name)}
		return 0, e
	}
	return id, nil
}
