package job

import (
	"encoding/json"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Report is what a stored report says that a job wants to know.
type Report struct {
	Hash                 string
	Certname             string
	JobID                string // as sent: text, of anybody's making
	TransactionUUID      string
	Status               string // changed, unchanged, failed, or ""
	Noop                 bool
	Environment          string
	ConfigurationVersion string
	Start, End           time.Time
	Metrics              json.RawMessage // [{"category":…,"name":…,"value":…}], or nil
}

// ReportNote is a report that waits to be joined with a node's run.
type ReportNote struct {
	Note   int64   // its id, for Batch.Notes
	Report *Report // nil: it was deleted meanwhile
	Node   Node    // the run as it is stored
}

// How far a report may be from the run that it is joined with.
const (
	ReportSkew = 5 * time.Minute // clocks differ: it may have started this much before the request left
	ReportLate = 24 * time.Hour  // after the run's end it is nobody's
)

// Matches tells whether the report is of this run of a node (orchestrator.md
// §11.2): the transaction that the run told, or else the job's name, provided
// it did not begin before the request left. Never across certnames.
func (r *Report) Matches(n *Node) bool {
	if r.Certname != n.Certname {
		return false
	}
	if n.TransactionUUID != "" {
		return r.TransactionUUID == n.TransactionUUID
	}
	job := Job{ID: n.JobID}
	return r.JobID == job.Name() && !n.SentAt.IsZero() && !r.Start.Before(n.SentAt.Add(-ReportSkew)) &&
		(n.Finished.IsZero() || !r.Start.After(n.Finished.Add(ReportLate)))
}

// State is the state that a run ends in whose report this is.
func (r *Report) State() State {
	if r.Status == "changed" || r.Status == "unchanged" {
		return Finished
	}
	return Failed
}

// Counters are the nine counters of a report's resources, all whole numbers
// (orchestrator.md §11.4). Those that the report does not have are 0.
func (r *Report) Counters() map[string]int64 {
	counters := map[string]int64{}
	for _, name := range [...]string{"total", "changed", "failed", "skipped", "restarted", "failed_to_restart", "scheduled", "out_of_sync", "corrective_change"} {
		counters[name] = 0
	}
	// Most of the metrics are times of classes and types, hundreds of them.
	var metrics []struct {
		Category string  `json:"category"`
		Name     string  `json:"name"`
		Value    float64 `json:"value"`
	}
	if jsonv2.Unmarshal(r.Metrics, &metrics, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return counters
	}
	for _, m := range metrics {
		if _, ours := counters[m.Name]; ours && m.Category == "resources" {
			counters[m.Name] = int64(m.Value)
		}
	}
	return counters
}
