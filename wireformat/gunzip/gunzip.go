package gunzip

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"
)

// ErrUnable says that Member did not decode: the library may, or tell why not.
var ErrUnable = errors.New("gunzip: not decoded")

// Slack is how much longer than what comes out the buffer must be, so that
// copies of matches may run over their end.
const Slack = maxMatch + 4*8

const (
	maxMatch    = 258
	headerSize  = 10
	trailerSize = 8
	padding     = "\x00\x00\x00\x00\x00\x00\x00\x00" // loads of eight bytes may run over the end
)

// Size is how long the plain bytes of a gzip file say they are, if it has one
// member and ends where that ends; the file may lie. ok is false when src is
// too short to be one, or claims more than DEFLATE can make of its length.
func Size(src []byte) (size int, ok bool) {
	if len(src) < headerSize+trailerSize {
		return 0, false
	}
	claimed := int64(binary.LittleEndian.Uint32(src[len(src)-4:]))
	// A match of 258 bytes takes at least two bits.
	return int(claimed), claimed <= int64(len(src))*4*maxMatch
}

// Member decodes the gzip member at the start of src into dst, from its start
// up to its capacity less Slack, and answers the plain bytes, which share
// dst's memory, and how much of src the member took. Its only error is
// ErrUnable; dst's bytes are then undefined. Up to eight bytes behind src are
// overwritten if its capacity reaches so far; if not, src is copied.
func Member(dst, src []byte) (plain []byte, taken int, err error) {
	start, ok := skipHeader(src)
	if !ok {
		return nil, 0, ErrUnable
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.src, d.pos, d.bits, d.left = append(src, padding...), start, 0, 0
	d.dst, d.out = dst[:cap(dst)], 0
	defer func() { d.src, d.dst = nil, nil }()
	if !d.stream() {
		return nil, 0, ErrUnable
	}
	plain = d.dst[:d.out]
	end := d.pos - int(d.left/8)     // whole bytes that were looked at and not needed
	if len(src)-end < trailerSize || // padding was taken for data
		binary.LittleEndian.Uint32(src[end:]) != crc32.ChecksumIEEE(plain) ||
		binary.LittleEndian.Uint32(src[end+4:]) != uint32(len(plain)) {
		return nil, 0, ErrUnable
	}
	return plain, end + trailerSize, nil
}

// decoders keeps the tables, which are large, for the next member.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// skipHeader answers where the compressed bytes begin. Headers with optional
// parts, which no client of ours sends, are left to the library.
func skipHeader(src []byte) (int, bool) {
	const deflate = 8
	ok := len(src) >= headerSize+trailerSize && src[0] == 0x1f && src[1] == 0x8b && src[2] == deflate && src[3] == 0
	return headerSize, ok
}
