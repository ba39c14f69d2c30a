// Command dalang takes the place of PuppetDB.
package main

import (
	"errors"
	"fmt"
	"os"

	"dalang/store"
)

func main() { os.Exit(run()) }

// run is main without the exit: it answers the exit status.
func run() int {
	err := newRootCommand().Execute()
	if err == nil {
		return 0
	}
	var told *toldError
	var exit *exitError
	if !errors.As(err, &told) && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "dalang:", err)
	}
	return exitStatus(err)
}

// toldError is an error that stands in the log already.
type toldError struct{ error }

func (e *toldError) Unwrap() error { return e.error }

// exitStatus is PuppetDB's where PuppetDB has one.
func exitStatus(err error) int {
	var usage *usageError
	var newer *store.NewerSchemaError
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.status
	case errors.As(err, &usage):
		return 2
	case errors.As(err, &newer):
		return 77
	}
	return 1
}
