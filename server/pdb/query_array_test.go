package pdb

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store/query"
)

func TestArray(t *testing.T) {
	for _, c := range []struct {
		pretty bool
		rows   []string
		want   string
	}{
		{false, nil, `[]`},
		{false, []string{`{"a":1}`, `{"a":2}`}, `[{"a":1},{"a":2}]`},
		{true, []string{`{"a":1,"b":[]}`, `{"a":2}`}, "[ {\n  \"a\" : 1,\n  \"b\" : [ ]\n}, {\n  \"a\" : 2\n} ]"},
	} {
		w := httptest.NewRecorder()
		a := newArray(w, c.pretty)
		require.NoError(t, a.Begin(query.Head{Total: 7}))
		for _, r := range c.rows {
			require.NoError(t, a.Row([]byte(r)))
		}
		require.NoError(t, a.end())
		require.Equal(t, c.want, w.Body.String())
		require.Equal(t, "7", w.Header().Get("X-Records"))
		require.Equal(t, TypeJSON, w.Header().Get("Content-Type"))
	}
}

// TestArrayBreaksOff: a failure after the first row leaves JSON that no client
// can take for complete, and the reason.
func TestArrayBreaksOff(t *testing.T) {
	w := httptest.NewRecorder()
	a := newArray(w, false)
	require.NoError(t, a.Begin(query.Head{Total: -1}))
	require.NoError(t, a.Row([]byte(`{"a":1}`)))
	a.abort(errors.New("exceeded timeout"))
	require.Equal(t, "[{\"a\":1}\nexceeded timeout\n", w.Body.String())
	require.Empty(t, w.Header().Get("X-Records"))
}
