// Package commands is the life of a command after it was received: taken into
// the queue, decoded, applied to the store, and forgotten or put into the dead
// letter office.
//
// # States
//
// A command has one state at a time. What brings it to the next:
//
//	from         to            when                                                  on disk
//	-            queued        queue.Put returned nil; the submitter gets its uuid   in the queue
//	queued       processing    it heads the line of its certname, a worker is free
//	processing   processed     the store has committed it                            removed
//	processing   stale         the store knows something newer                       removed
//	processing   duplicate     the store has this report                             removed
//	processing   superseded    it can be decoded, and a newer one of its kind is     removed
//	                           queued behind it (or was before it)
//	processing   discarded     it can never be applied: its own fault                moved to the dead letter office
//	processing   discarded     somebody took its file away                           gone: no letter
//	processing   retrying      it failed, and not by its own fault: the store is     attempts are written beside it
//	                           away, the disk refuses to read, the dead letter
//	                           office cannot be written
//	retrying     queued        its pause is over (a try that failed alone)
//	retrying     processing    the store answers again (a batch that waited for it)
//	any of the   queued        the program was started again                         as it was
//	first three
//
// Processed, stale, duplicate, superseded and discarded are final. Status remembers them for RememberFor, at most
// RememberCount of them, until the program ends.
//
// # Whose fault
//
// An error that outcome.IsFatal knows is the command's fault; any other is the
// world's, and is tried again for ever: after 100 ms, twice as long each time
// up to a minute, give or take a quarter. Of the tries the first and the last
// 19 are kept. A panic is the fault of the command that caused it.
//
// # Order
//
// Commands of one certname (as it was submitted) are applied in the order of
// their ids, one at a time; a command that waits for its next try holds up its
// own certname only. When the store is away everybody waits, in order.
//
// Of two commands to replace facts, or two to replace a catalog, of a certname
// that are in the queue at the same time and have a producer timestamp, only
// the one produced later is applied; of equal ones the first. This saves work.
// That nothing newer is overwritten is for the store to see to.
//
// # Twice
//
// The queue's file goes after the store has committed. A crash between brings
// the command back, to be applied again: the store makes that have no effect.
//
// # Stages
//
//	Enqueue          many submitters: checksum and size while streaming to the queue's file
//	workers          Threads of them: read (or take from the cache), decompress, decode
//	committer        one: gathers what is decoded into a transaction
//	queue's prober   one: after a disk error, tries until the disk takes writes
//
// Between workers and committer are at most BatchBytes of decoded commands.
// When Run's context ends, submissions are refused, what is in flight has
// DrainTime to land, and everything else stays in the queue.
package commands
