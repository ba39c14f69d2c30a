// Package content finds tasks and plans, and their files
// (orchestrator.md §3.6, §8.1, §8.2).
//
// There are two sources. Directory reads the modules of environments from
// disk, as Puppet lays them out:
//
//	<environmentpath>/<environment>/environment.conf   modulepath
//	<module>/tasks/<name>.json                         what the task says of itself
//	<module>/tasks/<name>.<anything>                   its executable
//	<module>/plans/<name>.yaml, .pp
//	<module>/{files,lib,scripts,tasks}/…               files that tasks share
//
// Server asks a Puppet Server, with this server's certificate. Its lists, and
// what it says of a task, are good for 30 seconds; those who ask for the same
// at the same time ask once. Errors are not kept. Where files change meanwhile,
// agents notice by the SHA-256 and refuse them.
//
// A file is always named by the path under which a Puppet Server serves it,
// /puppet/v3/file_content/<mount>/…, because agents get it from there. Where
// there is none, Handler serves the same paths from a Directory.
//
// No name leads out of a module: neither .. nor a symbolic link.
package content
