// Package crash holds the crash loop: clients submit commands while the real
// binary is killed with SIGKILL at random and started again. Afterwards every
// command that was answered with 200 must be in the store or in the dead
// letter office, and none twice in effect.
//
// `go test` kills a few times; DALANG_CRASH_KILLS=300 (as `make crash` sets it)
// makes the long form, DALANG_CRASH_SEED repeats a run.
package crash
