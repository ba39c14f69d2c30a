// Package queue is the durable queue of commands: a file each, in the layout
// and with the names of PuppetDB's stockpile, so that either program takes
// over the other's directory.
//
// # On disk
//
//	<dir>/stockpile                   marker, "0 stockpile"; another text is another layout: Open fails
//	<dir>/q/<id>-<meta>               a command: its body as it was received, gzipped or not
//	<dir>/q/tmp-<n>                   being written; deleted at Open
//	<dir>/attempts/<id>-<received>.json   why the command's tries failed so far: [{"at","error"}]
//	<dir>/dalang-salt                 a uuid; a command's uuid is version 5 of it and the file name
//	<dir>/dalang-lock                 locked by the process that has the queue
//	<dir>/**/*.tmp                    being written; deleted or written over
//
// where <meta> is at most 235 bytes of
//
//	<received>[<offset>]_<tag>_<version>_<certid>.json[.gz]
//
//	id        order of acceptance, 0 to 2^63-1; one more than the largest at Open
//	received  milliseconds since 1970
//	offset    producer timestamp - received in milliseconds, with its sign (+0); absent when none was given
//	tag       facts, catalog, report, rm-node, set-expire or inputs
//	certid    the certname, / \ : _ and NUL as dashes. When that changed it, or it is too long, it is cut at a
//	          character and "_" and the SHA-1 of the certname, in hex, follow
//	.gz       the body is gzipped
//
// No part of a name has more than one spelling; a file named otherwise is
// foreign: reported, counted, and left alone. An id is free again when its
// command has gone and the queue is opened anew. Ids are told twice only where
// somebody merged two spools; then the time received decides the order.
//
// # Taking a command in
//
// The order of Put, frozen in testdata/put.golden (ack.golden, attempts.golden
// and probe.golden are of the others):
//
//	1  create q/tmp-<n>
//	2  write the body
//	3  sync the file             the content is durable before it has a name
//	4  close it
//	5  move to q/<id>-<meta>     in one step, never over an existing name
//	6  sync q                    the name is durable; then, and only then, Put returns nil
//
// Concurrent Puts share 6: one sync makes every name durable that was made
// before it began. After a failed sync nobody knows what it covered, and one
// that succeeds later proves nothing. Therefore every Put that ran when a sync
// failed fails too, and nothing is accepted until a probe has created, written
// and synced a file of its own and synced q.
//
// A Put that fails deletes its file. When it cannot, or when the machine
// crashes before the deletion is on the disk, the command may come up at the
// next Open, whole, though its submitter was told to try again: applying it
// twice has one effect.
//
// # Letting a command go
//
// Ack removes the body and then the attempts, at once or, with RemoveAfter,
// together with others a little later. Neither is synced: after a crash
// the command may come back, in its old place, to be applied once more.
// Attempts are synced before they get their name, and the name is not: after a
// crash they may be an earlier list, or none; never part of one, and never
// another command's.
//
// # Open
//
// Frozen in testdata/open_new.golden and open_used.golden:
//
//  1. make the directory, take the lock
//  2. read the marker: fail for another layout, before anything is changed
//  3. make q and attempts, each synced in its parent
//  4. read the salt, or make one
//  5. without a marker: sync all directories above, which an earlier Open may
//     have made and been killed before it could sync, then write the marker
//  6. sync the directory: q, attempts, salt and marker are durable before
//     anything is accepted
//  7. list q: delete tmp-*, report foreign names, order the rest. Names only
//     are read: 100,000 commands take 0.3 s
//  8. list attempts: delete those of commands that have gone
//
// Each step may fail or be the last before a crash; the next Open does what is
// missing.
//
// # A crash
//
//	during                     leaves                                  which Open
//	1 to 4 of Put              a tmp, perhaps cut short                deletes
//	5, 6 of Put                a tmp, or the whole command             deletes; lists
//	after 6                    the whole command                       lists
//	failed Put                 nothing, a tmp, or the whole command    deletes; lists
//	Ack                        the command or not, attempts or not     lists; deletes attempts without a command
//	SaveAttempts               the new list, the old or none, a .tmp   deletes the .tmp
//	Probe                      a tmp                                   deletes
//
// Tested with a power cut and a kill before every operation (package faultfs),
// and with every operation failing once.
//
// # What is asked of a file system
//
//   - fsync of a file makes its content durable, fsync of a directory its
//     names, and they report what failed at least once, to whoever syncs first
//   - rename within a directory is one step, also in a crash. Where there is no
//     rename that refuses to replace (RENAME_NOREPLACE), link and unlink stand
//     in for it: a crash between leaves a tmp and the command, the same file
//   - names of 255 bytes, any but / and NUL; case matters
//   - flock keeps other processes out (on NFS: version 4, or local_lock=none)
//   - nobody else writes into the directory while the queue is open
//
// ext4, xfs, btrfs and zfs do. That the disk keeps what it was told to flush
// nobody can check from here.
package queue
