package content

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// puppetServer is a Puppet Server without a network. It answers when it is told to.
type puppetServer struct {
	mu     sync.Mutex
	asked  []string
	answer map[string]string // by path; what is missing is 404
	broken bool
	hold   chan struct{} // nil: it answers at once
}

func (p *puppetServer) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r.URL.Path+" "+r.URL.Query().Get("environment"))
	hold, broken := p.hold, p.broken
	text, known := p.answer[r.URL.Path]
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-hold:
		}
	}
	status := http.StatusOK
	switch {
	case broken:
		return nil, io.ErrUnexpectedEOF
	case !known:
		status, text = http.StatusNotFound, "Could not find it"
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (p *puppetServer) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// times is how often it was asked, since the last time.
func (p *puppetServer) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.asked)
	p.asked = nil
	return n
}

const oneTask = `{"metadata":{"description":"A"},"name":"a","files":[{"filename":"a.sh","sha256":"AB","size_bytes":1,"uri":{"path":"/puppet/v3/file_content/tasks/a/a.sh","params":{}}}]}`

func newPuppetServer() (*puppetServer, *Server) {
	p := &puppetServer{answer: map[string]string{"/puppet/v3/tasks": `[{"name":"a"}]`, "/puppet/v3/plans": `[{"name":"p"}]`, "/puppet/v3/tasks/a/init": oneTask}}
	return p, NewServer(ServerConfig{URL: "https://puppet.example.com:8140", Client: &http.Client{Transport: p}})
}

// TestServerKeeps: a Puppet Server is asked once in 30 seconds for the same,
// and for each environment and task by itself.
func TestServerKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newPuppetServer()
		look := func(environment string) {
			tasks, _, err := s.Tasks(t.Context(), environment)
			require.NoError(t, err)
			require.Equal(t, []string{"a"}, names(tasks))
			plans, err := s.Plans(t.Context(), environment)
			require.NoError(t, err)
			require.Equal(t, []string{"p"}, names(plans))
			one, err := s.Task(t.Context(), environment, "a")
			require.NoError(t, err)
			require.Equal(t, "ab", one.Files[0].SHA256)
			tasks[0].Name, plans[0].Name, one.Files[0].SHA256 = "x", "x", "x" // is the caller's own
		}
		look("production")
		require.Equal(t, 3, p.times())
		look("production")
		require.Zero(t, p.times())
		look("test")
		require.Equal(t, 3, p.times())
		time.Sleep(29 * time.Second)
		look("production")
		require.Zero(t, p.times())
		p.set(func() { p.answer["/puppet/v3/tasks/a/init"] = strings.Replace(oneTask, "AB", "CD", 1) })
		time.Sleep(time.Second)
		one, err := s.Task(t.Context(), "production", "a")
		require.NoError(t, err)
		require.Equal(t, "cd", one.Files[0].SHA256)
		require.Equal(t, 1, p.times())
		require.Len(t, s.cache.kept, 1, "what is too old is forgotten")
	})
}

// TestServerOneQuestion: those who want the same at the same time ask once;
// that the first of them goes away is nothing to the others.
func TestServerOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newPuppetServer()
		p.hold = make(chan struct{})
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		errs := make(chan error, 10)
		ask := func(ctx context.Context) {
			all.Go(func() {
				_, err := s.Task(ctx, "production", "a")
				errs <- err
			})
		}
		ask(first)
		synctest.Wait()
		for range 9 {
			ask(t.Context())
		}
		synctest.Wait()
		require.Equal(t, 1, p.times())
		leave()
		require.ErrorIs(t, <-errs, context.Canceled)
		close(p.hold)
		all.Wait()
		for range 9 {
			require.NoError(t, <-errs)
		}
		require.Zero(t, p.times())
	})
}

// TestServerErrors: no error is kept, whatever it is; what is known is good
// until it is too old; a server that never answers is given up.
func TestServerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newPuppetServer()
		for range 2 {
			_, err := s.Task(t.Context(), "production", "new")
			require.ErrorIs(t, err, job.UnknownTask("", ""))
		}
		require.Equal(t, 2, p.times())
		p.set(func() { p.answer["/puppet/v3/tasks/new/init"] = oneTask })
		_, err := s.Task(t.Context(), "production", "new")
		require.NoError(t, err, "a task that was made a moment ago")

		p.set(func() { p.broken = true })
		_, err = s.Task(t.Context(), "production", "new")
		require.NoError(t, err)
		_, _, err = s.Tasks(t.Context(), "production")
		require.ErrorIs(t, err, job.Unavailable(io.EOF))
		time.Sleep(30 * time.Second)
		_, err = s.Task(t.Context(), "production", "new")
		require.ErrorIs(t, err, job.Unavailable(io.EOF), "what is too old is not told")
		p.set(func() { p.broken = false })
		_, _, err = s.Tasks(t.Context(), "production")
		require.NoError(t, err)

		p.set(func() { p.hold = make(chan struct{}) })
		before := time.Now()
		_, err = s.Plans(t.Context(), "production")
		require.ErrorIs(t, err, job.Unavailable(io.EOF))
		require.Equal(t, time.Minute, time.Since(before))
	})
}
