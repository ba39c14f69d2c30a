package query

import "time"

// EventOptions are the parameters of the routes about events.
type EventOptions struct {
	// Distinct keeps, of each resource's property, only the latest events
	// between Start and End; the query applies after that.
	Distinct   bool
	Start, End time.Time

	SummarizeBy  string // certname, resource or containing_class: count events by it
	CountBy      string // "resource" (or "") counts events, "certname" the nodes they are of
	CountsFilter *CountsFilter
	Aggregate    bool // one row that counts the subjects
}

// CountsFilter is a comparison with one of the counters of event counts.
type CountsFilter struct {
	Op    string // = < > <= >=
	Field string
	Value string // a JSON number
}
