package pdb

import (
	"bufio"
	"net/http"
	"strconv"

	"dalang/store/query"
)

// array is a sink that writes rows as one JSON array while they come.
type array struct {
	w      http.ResponseWriter
	out    *bufio.Writer
	pretty bool
	begun  bool
	rows   int
	buf    []byte
}

func newArray(w http.ResponseWriter, pretty bool) *array { return &array{w: w, pretty: pretty} }

// Begin sends the header: from now on the answer is 200.
func (a *array) Begin(h query.Head) error {
	a.begun = true
	a.w.Header().Set("Content-Type", TypeJSON)
	if h.Total >= 0 {
		a.w.Header().Set("X-Records", strconv.FormatInt(h.Total, 10))
	}
	a.w.WriteHeader(http.StatusOK)
	a.out = bufio.NewWriterSize(a.w, 32<<10)
	return a.out.WriteByte('[')
}

// Row writes one row.
func (a *array) Row(json []byte) error {
	if a.rows > 0 {
		a.put(",")
	}
	a.rows++
	if a.pretty {
		a.put(" ")
		a.buf = AppendPretty(a.buf[:0], json)
		json = a.buf
	}
	_, err := a.out.Write(json)
	return err
}

// put writes what cannot fail for good: the next Write reports the error.
func (a *array) put(s string) { _, _ = a.out.WriteString(s) }

func (a *array) end() error {
	if a.pretty {
		a.put(" ")
	}
	a.put("]")
	return a.out.Flush()
}

// abort ends an answer that cannot be completed: the client finds JSON that
// breaks off and the reason behind it.
func (a *array) abort(err error) {
	a.put("\n" + err.Error() + "\n")
	_ = a.out.Flush()
}
