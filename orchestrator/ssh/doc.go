// Package ssh runs tasks, commands and scripts on targets without an agent, as
// Bolt does (orchestrator.md §9.1–9.8). It needs a POSIX shell there and
// nothing else.
//
// # A run
//
//  1. connect: key from memory, password, keyboard-interactive
//  2. mkdir -m 700 <tmpdir>/dalang-<transaction id>
//  3. put the files there, through the standard input of cat
//  4. put wrapper.sh beside them: it writes its process id, sets the PT_
//     variables, and runs the task
//  5. run it, the arguments as JSON on standard input
//  6. rm -rf the directory, also after a timeout or a stop
//
// Everything behind 1 is done as the user who runs the task in the end, so
// that nothing has to be given to him: with run-as each step goes through
// sudo, or what stands in for it.
//
// Nothing that could be a secret is in a command line, where everybody on the
// target could read it: files, variables and arguments go through standard
// input. With a terminal, which would mix input and output, the arguments are
// in wrapper.sh too; with run-as everything has a terminal then, as sudo's
// requiretty wants it, and files come through it as lines of base64. Only what scripts get as arguments is theirs to keep.
//
// # sudo
//
//	sudo -S -H -u USER -p PROMPT sh -c 'cd; echo MARK >&2; …'
//
// What comes on standard error (with a terminal, on standard output) is
// watched. PROMPT is answered, once, with the password. MARK says that sudo is
// through; only then standard input begins, and what follows is the command's.
//
// # When a target does not do its part
//
// The job's time is that of the run itself, or of an upload as a whole. Before it
// the target has an hour, in which it must not stand still for a minute, and ten
// seconds for cleaning; a result that came counts, however long that takes; who writes more than MaxOutput, or something else than SSH, has
// erred. When the connection breaks, another one is made, once, to clean up. What
// could not be deleted is Outcome.Left.
//
// # After a crash
//
// A run that was under way when the server died has erred. The directory's
// name follows from the transaction, so the next life connects once more, ends
// what still runs, and deletes it.
package ssh
