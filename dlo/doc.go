// Package dlo is the dead letter office: where commands lie that can never be
// applied, each with the reason, until somebody deals with them.
//
// # On disk
//
// A letter is a command's body, exactly as it was received and under the name
// it had in the queue, in a directory of its command; beside it lie a
// diagnosis for programs and the same for people:
//
//	<dir>/<command>/<id>-<meta>            body; <command> is the name with dashes: replace-facts
//	<dir>/<command>/<id>-<meta>_err.json   diagnosis: see Diagnosis
//	<dir>/<command>/<id>-<meta>_err.txt    attempts, newest first, as PuppetDB writes them
//	<dir>/<command>/tmp-<n>                being written; deleted at Open
//
// <id>-<meta> is specified by queue.ParseName. A body name so long that
// "_err.json" would push it over the 255 bytes of a file name gives its
// diagnosis its first 205 bytes, "_" and its SHA-1 instead.
//
// A flat directory of PuppetDB's own (<vardir>/stockpile/discard, bodies as
// above, diagnoses as text named without the last ".json") can be listed with
// the rest: Config.Imported. Nothing in it changes by itself.
//
// # Taking a letter in
//
// The order, frozen in testdata/discard.golden:
//
//  1. make the directory (synced when new)
//  2. move the body from the queue
//  3. sync the letter's directory, then the queue's: a crash between leaves
//     the body in one of the two, or in both, never in none
//  4. write and sync a tmp with the text, give it its name
//  5. write and sync a tmp with the diagnosis, give it its name
//  6. sync the directory
//
// When one of 3 to 6 fails, the body goes back to the queue, to be tried again.
//
// A body is never without its place, but after a crash between 3 and 6 it may
// be without its diagnosis. Open then reads the body once more, writes what is
// wrong with it, or the cause "unknown" when nothing is. A body that the queue
// still has after a crash comes here a second time and is recognised.
//
// # Letting a letter go
//
// Replay makes the command durable in the queue first. Then, as in Prune: body
// removed, diagnoses removed, directory synced at the end of the run. A crash
// between leaves diagnoses without a body, which Open deletes, or a whole
// letter whose command was submitted too: replaying it again is harmless,
// since applying a command twice has one effect.
//
// # Order
//
// Letters are in order of acceptance: by time received, then by id. (Ids alone
// do not order them: a queue that was empty at a start counts from 0 again.)
package dlo
