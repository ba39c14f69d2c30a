package dialect

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packFrom is the size from which packing a text pays.
const packFrom = 512

// packer holds the coders, which are costly to make and safe to share.
var packer = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // constant options
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		panic(err)
	}
	return encoder, decoder
})

// Pack gives the value of a packed column: NULL for nil, the text itself when
// it is short, else the compressed bytes.
func Pack(text []byte) any {
	if text == nil {
		return nil
	}
	if len(text) < packFrom {
		return string(text)
	}
	encoder, _ := packer()
	return encoder.EncodeAll(text, make([]byte, 0, len(text)/4))
}

// Unpack gives the text of a packed column's value. It is the SQL function
// pdb_unpack.
func Unpack(value any) (any, error) {
	packed, ok := value.([]byte)
	if !ok {
		return value, nil
	}
	_, decoder := packer()
	text, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack a stored text: %w", err)
	}
	return string(text), nil
}
