// Package difffuzz compares Dalang's query API with a real PuppetDB's.
//
// A run loads the recorded corpus (testdata/corpus) into both, makes up
// requests from the entity tables and the values that the corpus holds, sends
// each to both and compares status, content, X-Records and the texts of
// errors. What differs is reduced to a small request and written as a case
// that `go test` replays for ever without the other server:
// testdata/difffuzz/cases.jsonl, in the form of testdata/conformance.
//
// The real PuppetDB is one with an empty database, or one that an earlier run
// has loaded, with the settings that testdata/conformance/README.md asks for.
// It has to store corrective changes, which the open build does not unless it
// is told to: start it with
//
//	JDK_JAVA_OPTIONS='-Dclojure.server.repl={:port,8092,:accept,clojure.core.server/repl}'
//
// and send this to that port before anything is loaded:
//
//	(reset! @(resolve 'puppetlabs.puppetdb.scf.storage/store-corrective-change?) true)
//
// Then
//
//	DALANG_ORACLE=http://127.0.0.1:8090 make difffuzz
//
// Dalang gives received commands a fixed time each. The other server's own
// times, and what else it makes up, are paired with Dalang's at the start and
// translated in every answer; so both can be compared, ordered and limited by
// those fields as well.
//
// The other server may be older than the one that Dalang equals, and has
// defects of its own: excused.go lists what is not compared, with reasons.
package difffuzz
