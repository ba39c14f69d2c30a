package agent

// process identifies a process for ever: pids come again.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // when it started, in ticks of the boot
	Boot  string `json:"boot"`  // id of the boot
	// Abandoned: no process will ever claim the transaction.
	Abandoned bool `json:"abandoned,omitempty"`
}
