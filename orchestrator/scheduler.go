package orchestrator

import (
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// Pools of slots that kinds of work take from.
const (
	Compiles    = "compiles"
	Tasks       = "tasks"
	connections = "connections" // ssh and winrm
)

// pool is a number of slots.
type pool struct{ size, used int }

// active is a job that has not ended.
type active struct {
	*job.Job
	work     Work
	open     map[string]*run // nodes that have not ended
	lanes    [2][]*run       // those that may start as soon as there is a slot, in order: with an agent, and without
	taken    int             // of the job's own slots
	stopping bool
	waiting  []chan struct{} // closed when the job has ended; see Wait
}

// phase is where a run waits.
type phase int

const (
	blocked phase = iota // for nodes that it needs
	queued               // for a slot
	away                 // for its agent to connect
	sent                 // for what the agent says
)

// run is a node that has not ended.
type run struct {
	job         *active
	certname    string
	position    int
	transport   string
	state       job.State
	phase       phase
	transaction uuid.UUID
	fingerprint string
	sentAt      time.Time // it was claimed
	left        time.Time // the request left last, in this life
	started     time.Time // the agent began
	// handed: the request may have left in this life or the last one. A run
	// that was handed back by its transport is not.
	handed bool
	// ask: of the last life; before anything else the agent is asked.
	ask       bool
	resent    bool
	needs     int    // nodes that have to finish first
	followers []*run // nodes that need this one
	slots     []*pool
	deadline  time.Time // of being away, or of the run; zero: none
}

// admit takes up a job, as it is stored, with its nodes and their order.
func (e *Engine) admit(t *turn, j *job.Job, nodes []job.Node, edges []job.Edge) {
	work := e.works[j.Type]
	a := &active{Job: j, work: work, open: map[string]*run{}, stopping: j.State == job.Stopping}
	e.jobs[j.ID] = a
	e.ring = append(e.ring, a)
	ended := map[string]job.State{}
	var order []*run
	for i := range nodes {
		n := &nodes[i]
		if n.State.Terminal() {
			ended[n.Certname] = n.State
			continue
		}
		r := &run{job: a, certname: n.Certname, position: n.Position, transport: n.Transport, state: n.State, transaction: n.TransactionID,
			fingerprint: n.Fingerprint, sentAt: n.SentAt, started: n.Started}
		a.open[n.Certname] = r
		e.phases[r.phase]++
		order = append(order, r)
	}
	if !e.prepared(t, a) {
		return
	}
	for _, edge := range edges {
		before, after := a.open[edge.Before], a.open[edge.After]
		switch {
		case after == nil:
		case before != nil:
			before.followers = append(before.followers, after)
			after.needs++
		case ended[edge.Before] != job.Finished && after.state == job.New:
			e.skip(t, after, []string{edge.Before})
		}
	}
	for _, r := range order {
		if a.open[r.certname] == nil {
			continue // skipped
		}
		e.enter(t, r)
	}
}

// prepared tells whether the job's work can be made. If not, the job aborts.
func (e *Engine) prepared(t *turn, a *active) bool {
	why := "nothing runs jobs of this type"
	if a.work != nil {
		err := a.work.Check(a.Job)
		if err == nil {
			return true
		}
		why = err.Error()
	}
	for _, r := range sorted(a.open) {
		if r.state == job.New {
			e.end(t, r, job.Errored, conclusion{event: job.NodeErrored, message: "Error running on " + r.certname + ": " + why,
				err: job.NodeError(kindFailure, r.certname, "%s", why)})
			continue
		}
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "%s", why))
	}
	t.batch.Abort = append(t.batch.Abort, job.Abort{JobID: a.ID, Why: why})
	e.drop(a)
	t.then(a.tell)
	return false
}

// enter puts a node where it belongs when its job is taken up.
func (e *Engine) enter(t *turn, r *run) {
	switch {
	case r.state != job.New:
		e.takeUp(t, r)
	case r.job.stopping:
		e.stopNew(t, r)
	case r.needs > 0: // it is blocked already
	default:
		e.enqueue(r, false)
	}
}

// shift has a run wait elsewhere.
func (e *Engine) shift(r *run, to phase) {
	e.phases[r.phase]--
	e.phases[to]++
	r.phase = to
}

// leave: a run waits no more.
func (e *Engine) leave(r *run) {
	e.phases[r.phase]--
	r.deadline = time.Time{}
	delete(e.runs, r.transaction)
}

// enqueue makes a run wait for a slot, first or last of its job.
func (e *Engine) enqueue(r *run, first bool) {
	e.shift(r, queued)
	r.deadline = time.Time{}
	lane := r.lane()
	if first {
		*lane = slices.Insert(*lane, 0, r)
	} else {
		*lane = append(*lane, r)
	}
}

// lane is where a run waits for a slot: all in one need the same slots.
func (r *run) lane() *[]*run {
	if agentless(r.transport) {
		return &r.job.lanes[1]
	}
	return &r.job.lanes[0]
}

// pop takes the first out of a lane.
func pop(lane *[]*run) {
	(*lane)[0] = nil
	*lane = (*lane)[1:]
}

// startsAtOnce is how many nodes one turn lets start. What the first of them
// say is heard before the last have been asked, and neither the answers nor
// those who read the API stand in a queue behind thousands of requests.
const startsAtOnce = 100

// schedule lets nodes start, one of each job in turn, while there are slots. It
// tells whether more could start in another turn.
func (e *Engine) schedule(t *turn) (more bool) {
	started := 0
	for idle := 0; idle < len(e.ring); {
		if started == startsAtOnce {
			return true
		}
		if e.next >= len(e.ring) {
			e.next = 0
		}
		a := e.ring[e.next]
		e.next++
		before := len(e.ring)
		if e.startOne(t, a) {
			idle = 0
			started++
		} else {
			idle++
		}
		if len(e.ring) < before {
			idle = 0 // the job has ended; who is next has moved
		}
	}
	return false
}

// startOne starts the first node of a job that can start; those before it
// whose agents are away begin to wait for them.
func (e *Engine) startOne(t *turn, a *active) bool {
	for a.Concurrency == 0 || a.taken < a.Concurrency {
		r, slots := e.first(a)
		if r == nil {
			return false
		}
		pop(r.lane())
		e.shift(r, sent)
		c := e.transports[r.transport]
		switch {
		case c == nil:
			e.fail(t, r, job.NodeError(kindFailure, r.certname, "there is no transport %q", r.transport))
		case !c.transport.Connected(r.certname):
			e.goAway(r, t.at.Add(e.cfg.PCPTimeout))
		case e.launch(t, r, slots):
			return true
		}
	}
	return false
}

// first is the first node of a job for which there are slots, and these; nil
// if there is none. Only the heads of the lanes are looked at.
func (e *Engine) first(a *active) (first *run, slots []*pool) {
	for _, lane := range a.lanes {
		if len(lane) == 0 || first != nil && first.position < lane[0].position {
			continue
		}
		if s := e.slotsOf(lane[0]); !slices.ContainsFunc(s, (*pool).full) {
			first, slots = lane[0], s
		}
	}
	return first, slots
}

func (p *pool) full() bool { return p.used >= p.size }

// agentless tells whether a transport logs in to its nodes.
func agentless(transport string) bool { return transport == "ssh" || transport == "winrm" }

const (
	// patience is how much longer than its timeout a run is waited for whose agent
	// or transport ends it when the time is over, and says so.
	patience = 30 * time.Second
	// preparation is how much longer a run without an agent may take to begin:
	// connecting takes its own time, an hour at most, and so does what the
	// transport puts on the target.
	preparation = 2 * time.Hour
)

// begun is from when a run's time counts: from when its request left last, or,
// of a run of the last life, from when its agent began. Until the agent has said
// that, what is known is the claim; zero: there is none.
func (r *run) begun() time.Time {
	switch {
	case !r.left.IsZero():
		return r.left
	case r.state == job.Running:
		return r.started
	}
	return r.sentAt
}

// end is when a run is given up.
func (r *run) end() time.Time {
	end := r.begun().Add(r.job.Timeout)
	switch {
	case agentless(r.transport) && r.started.IsZero():
		return end.Add(preparation + patience)
	case agentless(r.transport):
		return r.started.Add(r.job.Timeout + patience)
	case r.job.work.Pool() == Tasks:
		return end.Add(patience)
	}
	return end
}

// slotsOf are the pools from which a run needs a slot.
func (e *Engine) slotsOf(r *run) []*pool {
	slots := []*pool{e.pools[r.job.work.Pool()]}
	if agentless(r.transport) {
		slots = append(slots, e.pools[connections])
	}
	return slots
}

func (e *Engine) take(r *run, slots []*pool) {
	if r.slots != nil {
		return
	}
	r.slots = slots
	r.job.taken++
	for _, p := range slots {
		p.used++
	}
}

func (e *Engine) release(r *run) {
	if r.slots == nil {
		return
	}
	r.job.taken--
	for _, p := range r.slots {
		p.used--
	}
	r.slots = nil
}

// launch claims a node, if nobody has yet, and sends the request once the
// claim is on disk; from then on the run's time counts. It is false if no request
// can be made, or it is too late for the one that was claimed: so there is a bound
// to how long after its claim a run may take place, whatever happens in between.
func (e *Engine) launch(t *turn, r *run, slots []*pool) bool {
	if r.state == job.Ready && t.at.Sub(r.sentAt) >= e.cfg.ResendWithin {
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "the request could not be sent within %s", e.cfg.ResendWithin))
		return false
	}
	r.left = t.at
	request, fingerprint, err := e.request(r, t.at)
	if err != nil {
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "no request can be made: %v", err))
		return false
	}
	e.take(r, slots)
	if r.state == job.New {
		r.transaction, r.fingerprint, r.sentAt = uuid.New(), fingerprint, t.at
		request.TransactionID = r.transaction
		e.runs[r.transaction] = r
		t.move(r, job.Ready, conclusion{})
	} else if r.fingerprint != fingerprint {
		e.log.Warn("a request that is sent again has changed", "job_id", r.job.ID, "certname", r.certname)
	}
	r.handed = true
	e.expect(r, r.end())
	e.order(t, r, order{do: job.Transport.Start, request: request})
	return true
}

// goAway makes a run wait for its agent, without a slot, until a time.
func (e *Engine) goAway(r *run, until time.Time) {
	e.release(r)
	e.shift(r, away)
	e.absent[r.certname] = append(e.absent[r.certname], r)
	e.expect(r, until)
}

// expect sets the run's deadline.
func (e *Engine) expect(r *run, at time.Time) {
	r.deadline = at
	heap.Push(&e.due, deadline{at, r})
}

// leaveAway ends the waiting for an agent.
func (e *Engine) leaveAway(r *run) {
	if r.phase != away {
		return
	}
	rest := slices.DeleteFunc(e.absent[r.certname], func(o *run) bool { return o == r })
	if len(rest) == 0 {
		delete(e.absent, r.certname)
	} else {
		e.absent[r.certname] = rest
	}
}

// tell tells those who wait for the job.
func (a *active) tell() {
	for _, ended := range a.waiting {
		close(ended)
	}
	a.waiting = nil
}

// drop forgets a job that has ended.
func (e *Engine) drop(a *active) {
	if e.jobs[a.ID] != a {
		return
	}
	delete(e.jobs, a.ID)
	if i := slices.Index(e.ring, a); i >= 0 {
		e.ring = slices.Delete(e.ring, i, i+1)
		if i < e.next {
			e.next--
		}
	}
}

// sorted are the runs of a job by position.
func sorted(open map[string]*run) []*run {
	list := make([]*run, 0, len(open))
	for _, r := range open {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *run) int { return a.position - b.position })
	return list
}

// deadlines is a heap. An entry is void unless it is still the run's.
type deadlines []deadline

type deadline struct {
	at  time.Time
	run *run
}

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = deadline{}
	*d = (*d)[:len(*d)-1]
	return last
}

// wait is how long it is to the next deadline; an hour, if there is none.
func (d deadlines) wait(now time.Time) time.Duration {
	if len(d) == 0 {
		return time.Hour
	}
	return max(d[0].at.Sub(now), 0)
}
