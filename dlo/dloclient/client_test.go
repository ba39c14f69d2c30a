package dloclient

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/dlo"
	"dalang/wireformat"
)

// serve answers every request the same.
func serve(t *testing.T, status int, body string) *Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL + "/"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRefusals(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		want   Error
	}{
		"json":        {400, `{"error":"no"}`, Error{Status: 400, Message: "no"}},
		"kind":        {415, `{"kind":"unsupported-type","msg":"no"}`, Error{Status: 415, Message: "no"}},
		"text":        {403, "Permission denied\n", Error{Status: 403, Message: "Permission denied"}},
		"nothing":     {502, "", Error{Status: 502, Message: "the server answered 502 Bad Gateway"}},
		"array":       {500, "[1]", Error{Status: 500, Message: "[1]"}},
		"with reason": {422, `{"error":"no","cause":"parse","problems":[{"path":"$","message":"m"}]}`, Error{422, "no", "parse", []wireformat.Problem{{Path: "$", Message: "m"}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, c.status, c.body).Get(context.Background(), "x")
			var got *Error
			require.ErrorAs(t, err, &got)
			require.Equal(t, c.want, *got)
			require.Equal(t, c.want.Message, err.Error())
		})
	}
	_, err := serve(t, 404, "Not Found").Get(context.Background(), "x")
	require.ErrorContains(t, err, "there is no dead letter office at http://127.0.0.1")
}

func TestReplayThatBreaksOff(t *testing.T) {
	line := `{"letter":{"done":1,"total":2,"uuid":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}}` + "\n"
	var seen int
	_, err := serve(t, 200, line).Replay(context.Background(), dlo.ReplayRequest{}, func(dlo.Progress) { seen++ })
	require.ErrorContains(t, err, "may be repeated")
	require.Equal(t, 1, seen)
	res, err := serve(t, 200, line+`{"result":{"selected":2,"replayed":1},"error":"the disk is full"}`).
		Replay(context.Background(), dlo.ReplayRequest{}, nil)
	require.EqualError(t, err, "the disk is full")
	require.Equal(t, 1, res.Replayed)
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []Config{{}, {URL: "127.0.0.1:8080"}, {URL: "ftp://x"}} {
		_, err := New(bad)
		require.Error(t, err, "%+v", bad)
	}
}
