// Package orchestration holds the tests that run the orchestrator as a whole:
// the real program as server, as agents and as `dalang job`, over TLS. Puppet
// is a script that sends a report as Puppet Server would; `make
// acceptance-orchestrator` does the same with the real one.
package orchestration
