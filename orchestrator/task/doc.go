// Package task knows what a Puppet task is: its metadata, its parameters and
// their types, which of its files runs where and how it gets its input, and
// what its output means (orchestrator.md §7.2, §8, §9.5). It touches neither
// disk nor network.
//
// # Parameters
//
// Arguments checks parameters against the metadata, all problems at once, and
// fills in defaults. A task without the key "parameters" takes anything. A
// parameter is a secret when its metadata says sensitive, or its type is
// Sensitive. Secrets are never part of an error.
//
// # Implementations
//
// A task has one executable, or says in its metadata which of several needs
// which features. The first whose requirements the target has is taken.
//
// # Input
//
//	stdin        the arguments as a JSON object on standard input
//	environment  each as PT_<name>: strings as they are, all else as JSON
//	both         both; what .ps1 files do not have by default
//	powershell   named arguments of a .ps1 file
//
// # Results
//
// Standard output that is a JSON object is the result; other text is
// {"_output": text}. A task fails when its result has "_error"; one that exits
// with another code than 0 and has none gets one.
package task
