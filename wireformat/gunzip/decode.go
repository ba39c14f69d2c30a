package gunzip

import "encoding/binary"

// decoder reads one DEFLATE stream.
type decoder struct {
	src  []byte // with padding behind it
	pos  int    // of the next byte of src to load
	bits uint64 // bits that were loaded, the next one lowest
	left uint   // how many of them count

	dst []byte
	out int // how much of dst is written

	litlen  [litlenSize]entry
	dist    [distSize]entry
	precode [1 << precodeLen]entry
	lengths [litlens + dists]uint8
	fixed   bool // litlen and dist are those of the fixed code
}

// stream decodes all blocks.
func (d *decoder) stream() bool {
	for {
		if !d.refill() {
			return false
		}
		last, kind := d.bits&1 == 1, d.bits>>1&3
		d.drop(3)
		ok := false
		switch kind {
		case 0:
			ok = d.stored()
		case 1:
			ok = d.fixedCode() && d.block()
		case 2:
			ok = d.ownCode() && d.block()
		}
		if !ok {
			return false
		}
		if last {
			return true
		}
	}
}

// refill loads bytes until there are at least 56 bits.
func (d *decoder) refill() bool {
	if d.pos > len(d.src)-8 {
		return false
	}
	d.bits |= binary.LittleEndian.Uint64(d.src[d.pos:]) << (d.left & 63)
	d.pos += int(63-d.left) >> 3
	d.left |= 56
	return true
}

func (d *decoder) drop(n uint) {
	d.bits >>= n & 63
	d.left -= n
}

func (d *decoder) take(n uint) int {
	v := d.bits & (1<<(n&63) - 1)
	d.drop(n)
	return int(v)
}

// stored copies a block that is not compressed.
func (d *decoder) stored() bool {
	d.drop(d.left & 7)
	if !d.refill() {
		return false
	}
	n, inverse := d.take(16), d.take(16)
	if n^inverse != 0xffff {
		return false
	}
	d.pos -= int(d.left / 8)
	d.bits, d.left = 0, 0
	if d.pos+n > len(d.src) || d.out+n+Slack > len(d.dst) {
		return false
	}
	copy(d.dst[d.out:], d.src[d.pos:d.pos+n])
	d.pos += n
	d.out += n
	return true
}

// fixedCode makes the tables of the code that every decoder knows.
func (d *decoder) fixedCode() bool {
	if d.fixed {
		return true
	}
	for i := range litlens {
		switch {
		case i < 144:
			d.lengths[i] = 8
		case i < 256:
			d.lengths[i] = 9
		case i < 280:
			d.lengths[i] = 7
		default:
			d.lengths[i] = 8
		}
	}
	for i := range dists {
		d.lengths[litlens+i] = 5
	}
	d.fixed = build(d.litlen[:], litlenBits, d.lengths[:litlens], litlenEntry) &&
		build(d.dist[:], distBits, d.lengths[litlens:], distEntry)
	return d.fixed
}

// precodeOrder is the order in which the lengths of the precode are sent.
const precodeOrder = "\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"

// ownCode reads the code of a block and makes its tables.
func (d *decoder) ownCode() bool {
	d.fixed = false
	nlit, ndist, npre := 257+d.take(5), 1+d.take(5), 4+d.take(4)
	if nlit > 286 || ndist > 30 {
		return false
	}
	var pre [precodes]uint8
	for i := range npre {
		if i%16 == 0 && !d.refill() {
			return false
		}
		pre[precodeOrder[i]] = uint8(d.take(3))
	}
	if !build(d.precode[:], precodeLen, pre[:], precodeEntry) || !d.codeLengths(nlit+ndist) || d.lengths[256] == 0 {
		return false
	}
	return build(d.litlen[:], litlenBits, d.lengths[:nlit], litlenEntry) &&
		build(d.dist[:], distBits, d.lengths[nlit:nlit+ndist], distEntry)
}

// codeLengths reads the lengths of n codes.
func (d *decoder) codeLengths(n int) bool {
	for i := 0; i < n; {
		if !d.refill() {
			return false
		}
		e := d.precode[d.bits&(1<<precodeLen-1)]
		if e&isBad != 0 {
			return false
		}
		d.drop(e.drop())
		var value uint8
		repeat := 1
		switch sym := e.value(); sym {
		case 16:
			if i == 0 {
				return false
			}
			value, repeat = d.lengths[i-1], 3+d.take(2)
		case 17:
			repeat = 3 + d.take(3)
		case 18:
			repeat = 11 + d.take(7)
		default:
			value = uint8(sym)
		}
		if i+repeat > n {
			return false
		}
		for range repeat {
			d.lengths[i] = value
			i++
		}
	}
	return true
}

// block decodes up to the end of a block.
//
// After a refill there are at least 56 bits. Three literals with short codes
// take 33 at most, and leave enough for nothing else. One or two leave 34, of
// which a literal takes 15 and a length with its extra bits 20. A distance, 28
// bits, gets a refill of its own.
func (d *decoder) block() bool {
	src, dst, litlen, dist := d.src, d.dst, &d.litlen, &d.dist
	bits, pos, left, out := d.bits, d.pos, d.left, d.out
	limit := len(dst) - Slack
	for {
		if out > limit || uint(pos) > uint(len(src)-8) {
			return false
		}
		bits |= binary.LittleEndian.Uint64(src[pos:]) << (left & 63)
		pos += int(63-left) >> 3
		left |= 56

		e := litlen[bits&(1<<litlenBits-1)]
		if e&isLiteral != 0 {
			bits, left = bits>>(e&63), left-uint(e&63)
			dst[out], out = byte(e>>16), out+1
			e = litlen[bits&(1<<litlenBits-1)]
			if e&isLiteral != 0 {
				bits, left = bits>>(e&63), left-uint(e&63)
				dst[out], out = byte(e>>16), out+1
				e = litlen[bits&(1<<litlenBits-1)]
				if e&isLiteral != 0 {
					bits, left = bits>>(e&63), left-uint(e&63)
					dst[out], out = byte(e>>16), out+1
					continue
				}
			}
		}
		if e&isSpecial != 0 {
			if e&isLink != 0 {
				bits, left = bits>>(e&63), left-uint(e&63)
				e = litlen[(e.value()+int(bits&(1<<e.extra()-1)))%litlenSize]
				if e&isLiteral != 0 {
					bits, left = bits>>(e&63), left-uint(e&63)
					dst[out], out = byte(e>>16), out+1
					continue
				}
			}
			if e&isBad != 0 {
				return false
			}
			if e&isEnd != 0 {
				d.bits, d.pos, d.left, d.out = bits>>(e&63), pos, left-uint(e&63), out
				return true
			}
		}
		length := e.value() + int(bits>>((e.drop()-e.extra())&63)&(1<<e.extra()-1))
		bits, left = bits>>(e&63), left-uint(e&63)

		if uint(pos) > uint(len(src)-8) {
			return false
		}
		bits |= binary.LittleEndian.Uint64(src[pos:]) << (left & 63)
		pos += int(63-left) >> 3
		left |= 56

		e = dist[bits&(1<<distBits-1)]
		if e&isLink != 0 {
			bits, left = bits>>(e&63), left-uint(e&63)
			e = dist[(e.value()+int(bits&(1<<e.extra()-1)))%distSize]
		}
		distance := e.value() + int(bits>>((e.drop()-e.extra())&63)&(1<<e.extra()-1))
		bits, left = bits>>(e&63), left-uint(e&63)
		if e&isBad != 0 || distance > out {
			return false
		}
		from, end := out-distance, out+length
		switch {
		case distance < 16:
			repeat(dst, from, out, length)
		case length > 64 && distance >= length:
			copy(dst[out:end], dst[from:])
		default: // each step reads what is written already, and may run over the end
			for ; out < end; out, from = out+16, from+16 {
				*(*[16]byte)(dst[out:]) = *(*[16]byte)(dst[from:])
			}
		}
		out = end
	}
}

// repeat continues the pattern that lies between from and out by length bytes,
// and perhaps by some more, less than Slack.
func repeat(dst []byte, from, out, length int) {
	if out-from >= 8 {
		for i := 0; i < length; i += 8 {
			*(*[8]byte)(dst[out+i:]) = *(*[8]byte)(dst[from+i:])
		}
		return
	}
	for i := range length {
		dst[out+i] = dst[from+i]
	}
}
