package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestService(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String() + " " + r.Header.Get("Accept")
		switch r.URL.Path {
		case "/api/good":
			w.Header().Set("X-Puppet-Version", "6.1.0")
			_, _ = io.WriteString(w, `{"n":1}`)
		case "/api/nonsense":
			_, _ = io.WriteString(w, `{"n":`)
		case "/api/endless":
			_, _ = io.WriteString(w, `{"n":"`+strings.Repeat("x", maxAnswer)+`"}`)
		case "/api/refused":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"permission-denied","msg":"not you"}`+"\n")
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s := New("the oracle", server.URL+"/api/", server.Client())
	var v struct{ N int }
	header, err := s.JSON(t.Context(), "/good", url.Values{"environment": {"a b"}}, &v)
	require.NoError(t, err)
	require.Equal(t, 1, v.N)
	require.Equal(t, "6.1.0", header.Get("X-Puppet-Version"))
	require.Equal(t, "/api/good?environment=a+b application/json", asked)

	res, err := s.Open(t.Context(), "/good", nil, "application/octet-stream")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "/api/good application/octet-stream", asked)

	for path, want := range map[string]string{
		"/nonsense": "read what the oracle answers to /nonsense: unexpected end of JSON input",
		"/endless":  "read what the oracle answers to /endless: it is larger than 33554432 bytes",
		"/refused":  `the oracle answers /refused with 403: {"kind":"permission-denied","msg":"not you"}`,
		"/missing":  "the oracle answers /missing with 404: 404 page not found",
	} {
		_, err := s.JSON(t.Context(), path, nil, &v)
		require.EqualError(t, err, want)
		var answer *AnswerError
		switch path {
		case "/refused":
			require.ErrorAs(t, err, &answer)
			require.Equal(t, "permission-denied", answer.Kind())
		case "/missing":
			require.ErrorAs(t, err, &answer)
			require.Empty(t, answer.Kind())
		}
	}
	server.Close()
	_, err = s.JSON(t.Context(), "/good", nil, &v)
	require.ErrorContains(t, err, "ask the oracle: ")
	_, err = New("nobody", "::", nil).Open(t.Context(), "/", nil, "")
	require.ErrorContains(t, err, "ask nobody: ")
}
