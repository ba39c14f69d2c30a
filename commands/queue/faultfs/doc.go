// Package faultfs is a disk in memory for tests of what must survive: it keeps
// a log of operations, fails the ones it is told to, and tells how it would
// look after a power cut.
//
// It is as unkind as queue.FS allows, and kinder than that in nothing:
//
//   - A new, moved or removed name is certain only after a successful SyncDir
//     of its directory that began later. Of the changes that are not certain a
//     power cut keeps any subset. A move within a directory is kept or lost as
//     a whole; one between directories may leave both names or none.
//   - Content is certain only after a successful Sync of the file. What is not
//     may be missing, cut short or zeros, though the name is there.
//   - What a failed Sync or SyncDir was to make certain never becomes so by
//     calling it again, even when that succeeds.
package faultfs
