package store

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestDictionaryCopies: a name that is a piece of something large does not keep
// that in memory.
func TestDictionaryCopies(t *testing.T) {
	payload := strings.Repeat("x", 1000) + "name"
	d := newDictionary(10)
	d.remember(payload[1000:], 7)
	id, ok := d.get([]byte("name"))
	require.True(t, ok)
	require.EqualValues(t, 7, id)
	for kept := range d.ids {
		require.False(t, unsafe.StringData(payload[1000:]) == unsafe.StringData(kept))
	}
}
