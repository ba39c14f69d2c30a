package main

import (
	"fmt"
	"time"
)

// wholeSeconds is the value of --timeout as the API takes it, 0 if it was not
// given.
func wholeSeconds(timeout time.Duration) (int64, error) {
	switch {
	case timeout == 0:
		return 0, nil
	case timeout < time.Second:
		return 0, &usageError{fmt.Errorf("--timeout must be at least 1s, not %s", timeout)}
	case timeout%time.Second != 0:
		return 0, &usageError{fmt.Errorf("--timeout must be in whole seconds, not %s", timeout)}
	}
	return int64(timeout / time.Second), nil
}
