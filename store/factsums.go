package store

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"dalang/wireformat"
)

// Sums of facts lie beside the factset, eight bytes each: XXH64 of name, NUL
// and value. A fact whose sum is among those that are stored has not changed.
// (Two values of one node's fact with the same sum, one time in 2⁶⁴, would be
// taken for the same. Who can choose them can post what he likes anyway.)

// sumSize is the length of a sum in bytes.
const sumSize = 8

func factSum(f *wireformat.Fact) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(f.Name)
	_, _ = d.Write([]byte{0})
	_, _ = d.Write(f.Value)
	return d.Sum64()
}

// diffSums compares stored sums with values. It answers which values are not
// among them, how many of the stored ones are not of values, and the sums of values.
func diffSums(stored []byte, values []wireformat.Fact) (changed []int, unmatched int, sums []byte) {
	known := make(map[uint64]int, len(stored)/sumSize)
	for i := 0; i+sumSize <= len(stored); i += sumSize {
		known[binary.LittleEndian.Uint64(stored[i:])]++
		unmatched++
	}
	sums = make([]byte, 0, len(values)*sumSize)
	for i := range values {
		sum := factSum(&values[i])
		sums = binary.LittleEndian.AppendUint64(sums, sum)
		if known[sum] == 0 {
			changed = append(changed, i)
			continue
		}
		known[sum]--
		unmatched--
	}
	return changed, unmatched, sums
}
