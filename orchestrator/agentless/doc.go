// Package agentless is what transports that log in to targets by themselves,
// ssh and winrm, have in common: the requests they understand, and how the end
// of a run is told. A Runner does the rest.
package agentless
