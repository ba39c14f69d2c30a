package job

// State is the state of a job or of a node's run.
type State string

// The states. Stopping is a job's only; Errored and Skipped are a node's only.
const (
	New      State = "new"      // accepted; a node: chosen, or waiting for its agent to connect
	Ready    State = "ready"    // a job: nodes and order are fixed; a node: the request leaves
	Running  State = "running"  // a job: a node has left new; a node: its agent has begun
	Stopping State = "stopping" // no node starts any more, those that run may end
	Stopped  State = "stopped"  // given up because somebody stopped the job
	Finished State = "finished" // ended well; a job: on all nodes
	Failed   State = "failed"   // ran and failed; a job: on some node
	Errored  State = "errored"  // could not be made to run, or was lost
	Skipped  State = "skipped"  // never started: a node it depends on did not finish
)

// Terminal tells whether a state is never left.
func (s State) Terminal() bool {
	switch s {
	case Stopped, Finished, Failed, Errored, Skipped:
		return true
	}
	return false
}

// NodeStates are the states of a node's run, in the order of its life.
func NodeStates() []State {
	return []State{New, Ready, Running, Finished, Failed, Errored, Skipped, Stopped}
}

// JobStates are the states of a job, in the order of its life.
func JobStates() []State {
	return []State{New, Ready, Running, Stopping, Stopped, Finished, Failed}
}

// Types of events: all that /jobs/:id/events ever shows.
const (
	NodeRunning  = "node_running"
	NodeFinished = "node_finished"
	NodeFailed   = "node_failed"
	NodeErrored  = "node_errored"
	NodeSkipped  = "node_skipped"
	JobStopping  = "job_stopping"
	JobAborted   = "job_aborted"
	JobFinished  = "job_finished"
)

// Subject is what a move is of.
type Subject string

// A move is of a job or of a node's run.
const (
	OfJob  Subject = "job"
	OfNode Subject = "node"
)

// Move is a row of the table of moves.
type Move struct {
	Of       Subject
	From, To State
	Event    string // the event that it writes; "": none
	When     string
}

var moves = [...]Move{
	{OfNode, New, Ready, "", "its predecessors have finished and a slot is free; its transaction id is on disk before the request leaves"},
	{OfNode, New, Skipped, NodeSkipped, "a node that it depends on failed, errored, or was skipped"},
	{OfNode, New, Stopped, NodeSkipped, "the job was stopped"},
	{OfNode, New, Errored, NodeErrored, "its agent did not connect in time, or no request can be made for it"},
	{OfNode, Ready, Running, NodeRunning, "the agent has taken the request"},
	{OfNode, Ready, Errored, NodeErrored, "the agent refused the request, or could not be reached"},
	{OfNode, Ready, Stopped, NodeSkipped, "the job was stopped while the request had not left"},
	{OfNode, Ready, Stopped, NodeErrored, "the job was stopped by force"},
	{OfNode, Running, Finished, NodeFinished, "the run ended well"},
	{OfNode, Running, Failed, NodeFailed, "the run ended and something in it failed"},
	{OfNode, Running, Errored, NodeErrored, "the run was lost, took too long, or could not be made"},
	{OfNode, Running, Stopped, NodeErrored, "the job was stopped by force; the agent may go on"},

	{OfJob, New, Ready, "", "nodes and order are stored"},
	{OfJob, Ready, Running, "", "the first node has left new"},
	{OfJob, New, Stopping, JobStopping, "somebody stopped it"},
	{OfJob, Ready, Stopping, JobStopping, "somebody stopped it"},
	{OfJob, Running, Stopping, JobStopping, "somebody stopped it"},
	{OfJob, Stopping, Stopped, JobFinished, "nothing of it runs any more"},
	{OfJob, Running, Finished, JobFinished, "all nodes have finished"},
	{OfJob, Running, Failed, JobFinished, "all nodes have ended, not all have finished"},
	{OfJob, New, Failed, JobAborted, "it cannot be carried on: what is stored of it is unreadable"},
	{OfJob, Ready, Failed, JobAborted, "it cannot be carried on"},
	{OfJob, Running, Failed, JobAborted, "it cannot be carried on"},
	{OfJob, Stopping, Failed, JobAborted, "it cannot be carried on"},
}

// Moves is the table of allowed moves. A move that is not in it does not happen.
func Moves() []Move { return append([]Move(nil), moves[:]...) }

// Allowed tells whether a move with this event is in the table.
func Allowed(of Subject, from, to State, event string) bool {
	for _, m := range moves {
		if m.Of == of && m.From == from && m.To == to && m.Event == event {
			return true
		}
	}
	return false
}

// Counts are how many nodes of a job are in each state.
type Counts map[State]int

// Total is the number of nodes.
func (c Counts) Total() (n int) {
	for _, of := range c {
		n += of
	}
	return n
}

// Open is the number of nodes that have not ended.
func (c Counts) Open() int { return c[New] + c[Ready] + c[Running] }

// Settle gives the state that a job in state s goes to next because its nodes
// are in these states, or s itself. Ask again until it gives s: a job whose
// only node erred goes from ready to running to failed.
func Settle(s State, c Counts) State {
	switch {
	case s == Ready && c[New] < c.Total():
		return Running
	case s == Running && c.Open() == 0 && c[Finished] == c.Total():
		return Finished
	case s == Running && c.Open() == 0:
		return Failed
	case s == Stopping && c.Open() == 0:
		return Stopped
	}
	return s
}

// JobEvent is the event of a job's move, "" for none. A job that aborts is not
// settled and says so itself.
func JobEvent(from, to State) string {
	switch {
	case to == Stopping:
		return JobStopping
	case to.Terminal() && (from == Running || from == Stopping):
		return JobFinished
	}
	return ""
}

// NodeEvent is the usual event of a node's move to a state, "" for none.
// A node that was stopped by force has NodeErrored instead.
func NodeEvent(to State) string {
	switch to {
	case Running:
		return NodeRunning
	case Finished:
		return NodeFinished
	case Failed:
		return NodeFailed
	case Errored:
		return NodeErrored
	case Skipped, Stopped:
		return NodeSkipped
	}
	return ""
}
