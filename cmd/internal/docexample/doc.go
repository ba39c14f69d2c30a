// Package docexample runs the examples of the documentation against the real
// program and compares what is printed with what the page says, so that a page
// cannot promise what the program does not do.
//
// # What is run
//
// README.md and every page below docs/: their fenced blocks with the info
// string "console". Other blocks, and pages without such blocks, are left
// alone. The commands of a page run in order, on one server of the page's own
// with fresh data. To run one page, or to write what is printed into it:
//
//	go test ./cmd/internal/docexample -run TestPages/api/query.md
//	go test ./cmd/internal/docexample -run TestPages/api/query.md -update
//
// # A block
//
//	```console
//	$ curl http://localhost:8080/pdb/query/v4/nodes \
//	    --data-urlencode 'query=["=", "certname", "web1"]'
//	[]
//	```
//
// A line that begins with "$ " begins a command for bash; it goes on while a
// line ends with a backslash or a quote is open. The lines up to the next
// command or the block's end are what it prints, on both standard output and
// standard error; white space at the ends of lines and blank lines at the end
// do not count. The exit status does not count either.
//
// Commands run in an empty directory with curl (which is silent, as by -sS),
// and the program as dalang and bin/dalang. localhost:8080 and 127.0.0.1:8080,
// in commands and in what they print, stand for the address of the server;
// DALANG_SERVER has it too. So does /var/lib/dalang for its data directory; the
// home directory is the page's own, and printed as ~.
//
// Before each command the server finishes what is queued, so that an example
// may submit something and ask for it in the next command.
//
// # What need not be equal
//
// In what a page prints,
//
//   - a uuid stands for any uuid, the same uuid for the same one in the whole
//     page, also in later commands. So does the beginning of a uuid: eight
//     hexadecimal digits, with a letter and a digit among them.
//   - a time such as 2026-11-21T03:29:45.519Z stands for any time of its form,
//     unless the same digits stand in a command before; then it is meant as it
//     is.
//   - an age below ten seconds, such as 0s, stands for any such.
//   - … stands for anything up to the end of the line or what follows it there;
//     a line with … alone, for any number of lines.
//
// # Directives
//
// Comments, which readers of the page do not see:
//
//	<!-- example: serve --set database.gc-interval=0 -->
//
// starts a new server with fresh data and these arguments, in which
// /var/lib/dalang stands for its data directory,
//
//	<!-- example: load testdata/corpus/agents.jsonl -->
//
// submits a recorded corpus (a JSON object a line: command, version, certname,
// producer_timestamp, body),
//
//	<!-- example: run
//	curl -X POST -d @body http://localhost:8080/pdb/cmd/v1
//	-->
//
// runs commands and compares nothing; they must succeed. And
//
//	<!-- example: skip why -->
//
// leaves out the next console block.
package docexample
