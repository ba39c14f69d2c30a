// Package gunzip decompresses a gzip member that lies in memory whole into a
// buffer that is known to be large enough, which is the case of nearly every
// command, several times as fast as a reader can that has to keep a window
// and to stop anywhere.
//
// It is a fast path and no more. It answers success only when the whole member
// was decoded and its CRC-32 and length are right (RFC 1951, RFC 1952). In
// every other case, be it a bad stream, an uncommon one or a small buffer, it
// answers that it could not, and the caller asks the library, whose word
// counts. What it costs to keep: docs/adr/0003-gunzip.md.
package gunzip
