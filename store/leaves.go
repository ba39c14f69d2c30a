package store

import "dalang/wireformat"

// A leaf repeats the whole path to it. Values that are nested deep, or lie
// below long keys, could so take many times the room in which they came. So a
// fact's leaves are kept as far as each path, and all of them together, stay
// within bounds that honest facts are far from; the fact's whole value is kept
// in any case. Which leaves are kept depends on nothing but name and value:
// what was kept of an old value is known without looking.
const (
	maxLeafPath   = 2500     // bytes of one encoded path; PostgreSQL could not index longer ones
	maxLeafPaths  = 16 << 10 // bytes of all paths of a fact, and on top of it,
	maxLeafFactor = 32       // for each byte of the value, so many
)

// leaves calls yield for the leaves of a fact that are kept, until it returns
// false, and tells whether there are others. Those cost nothing: once the
// bound is reached, no more paths are made.
func leaves(name string, value wireformat.JSON, yield func(wireformat.Leaf) bool) (cut bool) {
	room := maxLeafPaths + maxLeafFactor*len(value)
	wireformat.Leaves(name, value, func(leaf wireformat.Leaf) bool {
		if room -= len(leaf.Encoded); room < 0 {
			cut = true
			return false
		}
		if len(leaf.Encoded) > maxLeafPath {
			cut = true
			return true
		}
		return yield(leaf)
	})
	return cut
}
