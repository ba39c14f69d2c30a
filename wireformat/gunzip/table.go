package gunzip

import "math/bits"

// An entry of a decoding table says what the next bits mean:
//
//	bits 0–7    how many bits to drop: the code's, and the extra bits behind it
//	bits 8–11   how many of them are extra bits; of a link: bits that index the subtable
//	bits 12–14  flags
//	bits 16–30  the literal, the smallest length or distance of the code, or
//	            where the subtable begins
//	bit 31      a literal
type entry uint32

const (
	isLiteral entry = 1 << 31
	isLink    entry = 1 << 14 // the code is longer than the table's index
	isEnd     entry = 1 << 13 // end of the block
	isBad     entry = 1 << 12 // no code begins like this
	isSpecial       = isLink | isEnd | isBad
)

func (e entry) drop() uint  { return uint(e & 0xff) }
func (e entry) extra() uint { return uint(e >> 8 & 0xf) }
func (e entry) value() int  { return int(e >> 16 & 0x7fff) }

const (
	litlenBits = 11
	distBits   = 8
	precodeLen = 7
	maxCodeLen = 15

	litlens  = 288
	dists    = 32
	precodes = 19

	// What tables of this index width need at most with codes of 15 bits
	// (zlib's enough.c counts them): 2342 and 402.
	litlenSize = 2400
	distSize   = 512
)

// lengthEntry is the entry of a code for a length, 257 ≤ sym, without its bits.
func lengthEntry(sym int) entry {
	n := sym - 257
	switch {
	case n < 8:
		return entry(3+n) << 16
	case n < 28:
		extra := n/4 - 1
		return entry(3+(4+n%4)<<extra)<<16 | entry(extra)<<8
	case n == 28:
		return maxMatch << 16
	default:
		return isBad
	}
}

// distEntry is the entry of a code for a distance.
func distEntry(sym int) entry {
	switch {
	case sym < 2:
		return entry(1+sym) << 16
	case sym < 30:
		extra := sym/2 - 1
		return entry(1+(2+sym%2)<<extra)<<16 | entry(extra)<<8
	default:
		return isBad
	}
}

// litlenEntry is the entry of a literal, a length or the end.
func litlenEntry(sym int) entry {
	switch {
	case sym < 256:
		return isLiteral | entry(sym)<<16
	case sym == 256:
		return isEnd
	default:
		return lengthEntry(sym)
	}
}

// precodeEntry is the entry of a code for lengths of codes.
func precodeEntry(sym int) entry { return entry(sym) << 16 }

// build fills a table that is indexed by the next width bits with the
// canonical code that has these lengths. It is false for a code that is
// oversubscribed, or incomplete: only a code of one symbol at most may be.
func build(table []entry, width int, lengths []uint8, of func(sym int) entry) bool {
	var count, offset [maxCodeLen + 2]int
	for _, l := range lengths {
		count[l]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	free := 1
	for l := 1; l <= maxCodeLen; l++ {
		free = free<<1 - count[l]
		if free < 0 {
			return false
		}
		offset[l+1] = offset[l] + count[l]
	}
	if free > 0 {
		if used > 1 {
			return false
		}
		for i := range table[:1<<width] {
			table[i] = isBad
		}
	}
	var sorted [litlens]uint16
	for sym, l := range lengths {
		if l > 0 {
			sorted[offset[l]] = uint16(sym)
			offset[l]++
		}
	}
	code, before := 0, 0
	sub := subtables{table: table, width: width, next: 1 << width, prefix: -1}
	for i := range used {
		sym := int(sorted[i])
		l := int(lengths[sym])
		code <<= l - before
		before = l
		reversed := int(bits.Reverse16(uint16(code)) >> (16 - l))
		e := of(sym)
		if l <= width {
			fill(table[:1<<width], reversed, l, e+entry(l)+e.extraBits())
		} else if !sub.add(reversed, l, e, &count) {
			return false
		}
		count[l]--
		code++
	}
	return true
}

// extraBits is what the extra bits add to the bits to drop.
func (e entry) extraBits() entry {
	if e&isSpecial != 0 {
		return 0
	}
	return e >> 8 & 0xf
}

// fill writes e wherever the low l bits of the index are those of start.
func fill(table []entry, start, l int, e entry) {
	for i := start; i < len(table); i += 1 << l {
		table[i] = e
	}
}

// subtables appends the tables of codes that are longer than the index.
type subtables struct {
	table        []entry
	width, next  int
	prefix       int // of the subtable being filled; -1: none
	start, index int // where it begins and how many bits index it
}

// add takes a code, in ascending order; left counts the codes of each length
// that are still to come, this one included.
func (s *subtables) add(reversed, l int, e entry, left *[maxCodeLen + 2]int) bool {
	if prefix := reversed & (1<<s.width - 1); prefix != s.prefix {
		s.prefix, s.start = prefix, s.next
		s.index = l - s.width
		// As wide as the longest code that this prefix can still have.
		for room := 1 << s.index; s.index+s.width < maxCodeLen; s.index++ {
			if room -= left[s.index+s.width]; room <= 0 {
				break
			}
			room <<= 1
		}
		s.next += 1 << s.index
		if s.next > len(s.table) {
			return false
		}
		s.table[prefix] = isLink | entry(s.start)<<16 | entry(s.index)<<8 | entry(s.width)
	}
	l -= s.width
	fill(s.table[s.start:s.start+1<<s.index], reversed>>s.width, l, e+entry(l)+e.extraBits())
	return true
}
