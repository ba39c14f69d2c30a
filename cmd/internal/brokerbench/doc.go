// Package brokerbench measures what agents cost. It connects thousands of them
// to a `dalang serve` of its own and reads the server's memory and processor
// time: while they are idle (`make bench-broker`), and during a deploy over all
// of them, with others' commands coming in and with hostile peers in their
// midst (`make bench-deploy`). A small deploy is among the normal tests; it
// looks at what comes out, not at figures. The package has no code but its
// tests.
package brokerbench
