// Package brokerbench measures what idle agents cost: it connects thousands of
// them to a `dalang serve` of its own and reads the server's memory and
// processor time. `make bench-broker` runs it; the package has no code but its
// test.
package brokerbench
