package wireformat

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"dalang/wireformat/gunzip"
)

// readers keeps decompressors, which are large, for the next body.
var readers = sync.Pool{New: func() any { return new(gunzipper) }}

// gunzipper reads the first member of a gzip stream.
type gunzipper struct {
	gz     gzip.Reader
	in     bufio.Reader
	source trackedReader
	opened bool
}

// trackedReader remembers an error of the underlying reader, to tell the
// world's faults from those of the stream.
type trackedReader struct {
	r   io.Reader
	err error
}

func (t *trackedReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

// Gunzip reads the first member of the gzip stream r, as upstream does; what
// follows it is ignored. A stream that is not gzip, or is cut short or
// corrupt, gives an *Error of cause "encoding"; errors of r pass through.
// Close must be called, once.
func Gunzip(r io.Reader) io.ReadCloser {
	g := readers.Get().(*gunzipper)
	g.source = trackedReader{r: r}
	g.in.Reset(&g.source)
	g.opened = false
	return g
}

func (g *gunzipper) Read(p []byte) (int, error) {
	if !g.opened {
		if err := g.gz.Reset(&g.in); err != nil {
			return 0, g.classify(err)
		}
		g.gz.Multistream(false)
		g.opened = true
	}
	n, err := g.gz.Read(p)
	if err != nil && err != io.EOF {
		err = g.classify(err)
	}
	return n, err
}

func (g *gunzipper) classify(err error) error {
	if g.source.err != nil {
		return g.source.err
	}
	message := "the gzip stream is corrupt"
	var corrupt flate.CorruptInputError
	switch {
	case !g.opened:
		message = "the body is labelled gzip but does not start with a gzip header"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		message = "the gzip stream is cut short"
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum):
	}
	return &Error{Cause: CauseEncoding, Message: message, Err: err}
}

// Close returns the decompressor to the pool.
func (g *gunzipper) Close() error {
	g.source = trackedReader{}
	readers.Put(g)
	return nil
}

// Inflate reads a body into buf, which grows as needed, and gunzips its first
// member if it is gzipped. More than max bytes give an *Error of cause
// "too-large", a bad stream one of cause "encoding"; errors of r pass through.
func Inflate(r io.Reader, gzipped bool, max int64, buf []byte) ([]byte, error) {
	buf = buf[:0]
	if !gzipped {
		return readAll(r, max, buf)
	}
	start := starts.Get().(*[]byte)
	defer starts.Put(start)
	packed, whole, err := ReadStart(r, *start, maxStart)
	*start = packed[:0]
	if whole {
		if size, ok := gunzip.Size(packed); ok && int64(size) <= max {
			buf = slices.Grow(buf, size+gunzip.Slack)
			if plain, _, err := gunzip.Member(buf, packed); err == nil {
				return plain, nil
			}
		}
	}
	r = io.MultiReader(bytes.NewReader(packed), &failing{r, err})
	g := Gunzip(r)
	defer g.Close()
	return readAll(g, max, buf)
}

// maxStart is how much of a body is read before it is decompressed: all of
// nearly every one.
const maxStart = 1 << 20

// starts keeps memory for bodies as they came.
var starts = sync.Pool{New: func() any {
	b := make([]byte, 0, 64<<10)
	return &b
}}

// ReadStart reads up to limit bytes into buf, from its start, which grows as
// needed. whole says that there is no more. After an error of r, which it
// answers, it has what came before.
func ReadStart(r io.Reader, buf []byte, limit int) (start []byte, whole bool, err error) {
	buf = buf[:0]
	for len(buf) < limit {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(cap(buf), 64<<10))
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, true, nil
		}
		if err != nil {
			return buf, false, err
		}
	}
	return buf, false, nil
}

// failing is a reader that has failed, or not.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.Read(p)
}

func readAll(r io.Reader, max int64, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > max {
			return nil, &Error{Cause: CauseTooLarge, Message: fmt.Sprintf("the command is larger than the limit of %d bytes", max)}
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
