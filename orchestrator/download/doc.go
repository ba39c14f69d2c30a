// Package download has the files that plans get from nodes: it says what a node
// is to run to send some, and keeps what comes.
//
// # How a file travels
//
// Agents and SSH have no way to send a file, but all run commands (the module
// command) and bring what these write. Command is such a command for a POSIX
// shell, with tar, gzip, head, and base64 or openssl. It writes one of
//
//	dalang-download: refused: <why>
//	dalang-download: packed
//	<base64>
//
// the latter of a gzip stream of at most MaxPacked bytes: a tar archive whose
// one root is the last part of the path, links in it followed, and behind it
//
//	dalang-download: tar <what tar complained about>
//	<the status of tar>
//
// which is how the failure of tar is told in a pipeline. Status 1 with files
// that changed while they were read is none: the archive is whole.
//
// Nothing that comes is kept but in files: not in the node's result, in events
// or in the log. Whoever hands the command to a node gives the outcome to
// Keeper.Receive before anybody else sees it, and goes on with what that
// answers: {"path", "_output"}, or an _error.
//
// # Where it is kept
//
//	<dir>/<plan job>/<destination>/<certname>/<last part of the path>
//	<dir>/.unpacking/<uuid>/           being made; emptied by New
//
// Directories have mode 0700, those of nodes 0750, files 0640, whatever they had
// on the node. What is unpacked is synced, files and names, and appears under its
// name at once, in place of what was there; a crash leaves the old, the new, or
// nothing. What is given up meanwhile (the step is stopped, its time is over, the
// server ends) is not kept. Files go with their plan job (Keeper.Prune).
//
// # What a node may send
//
// A node may be hostile. Names that lead elsewhere, links, devices, the same name
// twice, too many or too large files are refused, with what was unpacked of the
// archive: see Limits. Two names of one file (hard links) become two files. What
// one node sends is no concern of the others: each has a directory of its own,
// unless the plan's author names a destination that is within another download.
package download
