package store_test

import (
	"testing"

	"dalang/store/storetest"
)

func TestConformance(t *testing.T) { storetest.Run(t, open) }
