package orchestrator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"dalang/orchestrator/job"
)

// Work is a type of job as the engine sees it. Its methods are called by the
// loop: they look at memory only.
type Work interface {
	// Pool is where its nodes take their slots from: Compiles or Tasks.
	Pool() string
	// Check tells why the job cannot be worked on, as it is stored.
	Check(j *job.Job) error
	// Name is what runs, for messages: "puppet run", "task mysql::sql".
	Name(j *job.Job) string
	// Verb is what follows "Error running": "puppet", "task mysql::sql".
	Verb(j *job.Job) string
	// Request is what a node is asked: Module, Action, Params. It is the same
	// each time.
	Request(j *job.Job, certname string) (job.Request, error)
	// Conclude says what is kept of an outcome that is Finished or Failed.
	Conclude(j *job.Job, o job.Outcome) Conclusion
}

// Settler is Work that has its own mind of how a run ended.
type Settler interface {
	Settle(j *job.Job, o job.Outcome) job.Outcome
}

// Conclusion is what is kept of a run that has ended. All are objects; nil is none.
type Conclusion struct {
	Result          json.RawMessage // the node's result
	Detail          json.RawMessage // the event's detail; a noop in it is a boolean
	Details         json.RawMessage // job.Node.Details
	TransactionUUID string          // of the report
}

// request makes the request of a run, and its fingerprint.
func (e *Engine) request(r *run, now time.Time) (job.Request, string, error) {
	request, err := r.job.work.Request(r.job.Job, r.certname)
	if err != nil {
		return request, "", err
	}
	request.TransactionID, request.JobID, request.Certname, request.NotifyOutcome = r.transaction, r.job.ID, r.certname, true
	request.Timeout = r.job.Timeout
	if begun := r.begun(); !begun.IsZero() {
		request.Timeout = max(r.job.Timeout-now.Sub(begun), time.Second)
	}
	hash := sha256.New()
	params := []byte(request.Params)
	if r.job.Sealed != nil {
		params = r.job.Sealed // a hash of what may be a secret would let it be guessed
	}
	fmt.Fprintf(hash, "%s %s %s", request.Module, request.Action, params)
	return request, hex.EncodeToString(hash.Sum(nil)), nil
}

// deploys is the work of running Puppet.
type deploys struct {
	params func(d job.Deploy, jobName string) (json.RawMessage, error)
}

func (*deploys) Pool() string         { return Compiles }
func (*deploys) Name(*job.Job) string { return "puppet run" }
func (*deploys) Verb(*job.Job) string { return "puppet" }

func (d *deploys) Check(j *job.Job) error {
	_, err := d.Request(j, "")
	return err
}

func (d *deploys) Request(j *job.Job, _ string) (job.Request, error) {
	if j.Params == nil {
		o, err := options(j)
		if err != nil {
			return job.Request{}, err
		}
		if j.Params, err = d.params(*o, j.Name()); err != nil {
			return job.Request{}, err
		}
	}
	return job.Request{Module: "pxp-module-puppet", Action: "run", Params: j.Params}, nil
}

// options are a deploy's. They may name all nodes of the job, so they are read
// once, and not for each node.
func options(j *job.Job) (*job.Deploy, error) {
	if j.Deploy == nil {
		d := &job.Deploy{}
		if err := json.Unmarshal(j.Options, d); err != nil {
			return nil, fmt.Errorf("options of job %d: %w", j.ID, err)
		}
		d.Scope = job.Scope{} // it is nodes by now
		j.Deploy = d
	}
	return j.Deploy, nil
}

// deployed is the result of a Puppet run (orchestrator.md §3.3). As an event's
// detail its noop is a boolean.
type deployed struct {
	Hash                 *string          `json:"hash"`
	TransactionUUID      *string          `json:"transaction_uuid"`
	Noop                 any              `json:"noop"`
	Status               *string          `json:"status"`
	Metrics              map[string]int64 `json:"metrics"`
	Environment          *string          `json:"environment"`
	ConfigurationVersion *string          `json:"configuration_version"`
}

// Conclude reads the answer of pxp-module-puppet.
func (d *deploys) Conclude(j *job.Job, o job.Outcome) Conclusion {
	var answer struct {
		TransactionUUID string             `json:"transaction_uuid"`
		Status          string             `json:"status"`
		Environment     string             `json:"environment"`
		Metrics         map[string]float64 `json:"metrics"`
	}
	// What cannot be read is left out: the state was decided by the transport.
	_ = json.Unmarshal(o.Results, &answer)
	var metrics map[string]int64
	if len(answer.Metrics) > 0 {
		metrics = (&job.Report{}).Counters()
		for name, value := range answer.Metrics {
			if _, counter := metrics[name]; counter {
				metrics[name] = int64(value)
			}
		}
	}
	return d.kept(j, deployed{TransactionUUID: told(answer.TransactionUUID), Status: told(answer.Status), Environment: told(answer.Environment),
		Metrics: metrics}, nil)
}

// reported is what is kept of a run whose report is known.
func (d *deploys) reported(j *job.Job, r *job.Report) Conclusion {
	return d.kept(j, deployed{Hash: &r.Hash, TransactionUUID: told(r.TransactionUUID), Status: told(r.Status), Environment: told(r.Environment),
		ConfigurationVersion: told(r.ConfigurationVersion), Metrics: r.Counters()}, &r.Noop)
}

// told is nil for what an agent does not know.
func told(s string) *string {
	if s == "" || s == "unknown" {
		return nil
	}
	return &s
}

func (d *deploys) kept(j *job.Job, what deployed, noop *bool) Conclusion {
	given, err := options(j)
	if err != nil {
		given = &job.Deploy{} // Check has refused it
	}
	var c Conclusion
	if what.TransactionUUID != nil {
		c.TransactionUUID = *what.TransactionUUID
	}
	// An agent's own configuration may say noop: the report knows.
	own := given.Noop
	if noop != nil {
		own = *noop
	}
	what.Noop = map[string]bool{"noop": own, "no_noop": given.NoNoop}
	c.Result = object(what)
	what.Noop = own
	c.Detail = object(what)
	if what.Metrics != nil {
		c.Details = object(map[string]any{"metrics": what.Metrics})
	}
	return c
}

// object is the JSON of a value that has one.
func object(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a programming error: all these values are plain
	}
	return text
}
