package brokerbench

import (
	"fmt"
	"os"
	"testing"
)

// pollerOf makes this program the poller of an order, instead of the tests:
// what it measures shall not be the load's own business.
const pollerOf = "BROKERBENCH_POLLER"

func TestMain(m *testing.M) {
	if text := os.Getenv(pollerOf); text != "" {
		if err := runPoller(text); err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
