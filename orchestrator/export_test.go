package orchestrator

// Early is how many jobs are remembered until Submit tells of them.
func (e *Engine) Early() int {
	n := make(chan int, 1)
	e.post(func(*turn) { n <- len(e.early) })
	return <-n
}
