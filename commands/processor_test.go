package commands_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands"
	"dalang/commands/outcome"
	"dalang/commands/queue"
	"dalang/wireformat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store that remembers what was applied, and may be out of order.
type memory struct {
	mu      sync.Mutex
	applied []string // certname, value of fact n
	down    error    // what Apply and Probe answer
	probed  chan struct{}
	explode string // certname whose commands panic
}

func (m *memory) Apply(_ context.Context, batch []outcome.Change) ([]outcome.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	for _, c := range batch {
		if c.Payload.Node() == m.explode {
			panic("boom")
		}
	}
	results := make([]outcome.Result, len(batch))
	for i, c := range batch {
		facts, ok := c.Payload.(*wireformat.Facts)
		if ok && string(facts.Values[0].Value) == `"unstorable"` {
			results[i].Err = outcome.Fatal(outcome.CauseStore, errors.New("cannot be stored"))
			continue
		}
		if ok {
			m.applied = append(m.applied, facts.Certname+"="+string(facts.Values[0].Value))
		}
		results[i].Status = outcome.Processed
	}
	return results, nil
}

func (m *memory) Probe(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.probed <- struct{}{}:
	default:
	}
	return m.down
}

func (m *memory) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func (m *memory) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.applied...)
}

// letters is a dead letter office that remembers, and takes the files away.
type letters struct {
	mu   sync.Mutex
	all  []commands.Letter
	down error
}

func (l *letters) Discard(_ context.Context, letter commands.Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return l.down
	}
	l.all = append(l.all, letter)
	return os.Remove(letter.BodyPath)
}

func (l *letters) seen() []commands.Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]commands.Letter{}, l.all...)
}

// bench is a processor with everything around it.
type bench struct {
	*commands.Processor
	store   *memory
	letters *letters
	dir     string
}

// start runs a processor on dir until the test ends or stop is called.
func start(t *testing.T, dir string, change func(*commands.Config)) (b *bench, stop func()) {
	t.Helper()
	b, run := prepare(t, dir, change)
	return b, run()
}

// prepare makes a processor that does not work yet; run starts it.
func prepare(t *testing.T, dir string, change func(*commands.Config)) (b *bench, run func() (stop func())) {
	t.Helper()
	q, loaded, err := queue.Open(queue.Config{Dir: dir})
	require.NoError(t, err)
	b = &bench{store: &memory{probed: make(chan struct{}, 1)}, letters: &letters{}, dir: dir}
	cfg := commands.Config{Queue: q, Store: b.store, DeadLetters: b.letters, Threads: 2, VerifyChecksum: true}
	if change != nil {
		change(&cfg)
	}
	b.Processor, err = commands.New(cfg, loaded)
	require.NoError(t, err)
	return b, func() func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			require.NoError(t, <-done)
			require.NoError(t, q.Close())
		})
		t.Cleanup(stop)
		return stop
	}
}

func facts(certname, value string) string {
	return fmt.Sprintf(`{"certname":%q,"environment":"production","producer":null,"producer_timestamp":"2026-11-01T00:00:00Z","values":{"n":%q}}`, certname, value)
}

func submission(certname, body string) commands.Submission {
	return commands.Submission{Command: wireformat.ReplaceFacts, Version: 5, Certname: certname, Body: strings.NewReader(body), Client: "test"}
}

func sha(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestProcessed(t *testing.T) {
	b, stop := start(t, t.TempDir(), nil)
	id, w, err := b.EnqueueAndWait(t.Context(), submission("a", facts("a", "1")), time.Minute)
	require.NoError(t, err)
	require.Equal(t, commands.Waited{Processed: true}, w)
	status, ok := b.Status(id)
	require.True(t, ok)
	require.Equal(t, commands.StateProcessed, status.State)
	require.Equal(t, "a", status.Certname)
	require.Equal(t, 1, status.Attempts)
	require.NotNil(t, status.Finished)
	require.Equal(t, []string{`a="1"`}, b.store.seen())
	require.Zero(t, b.Depth())
	stop()
	files, err := os.ReadDir(filepath.Join(b.dir, "q"))
	require.NoError(t, err)
	require.Empty(t, files)
	_, err = b.Enqueue(t.Context(), submission("a", facts("a", "1")))
	require.ErrorIs(t, err, commands.ErrShutdown)
}

func TestInvalidAnswersAtOnce(t *testing.T) {
	b, _ := start(t, t.TempDir(), nil)
	id, w, err := b.EnqueueAndWait(t.Context(), submission("a", `{"certname":1}`), time.Minute)
	require.NoError(t, err)
	require.True(t, w.Processed)
	require.ErrorContains(t, w.Err, "Invalid replace facts command")
	require.NotEmpty(t, w.Stack)
	status, _ := b.Status(id)
	require.Equal(t, commands.StateDiscarded, status.State)
	all := b.letters.seen()
	require.Len(t, all, 1)
	require.Equal(t, wireformat.CauseValidation, all[0].Cause)
	require.Equal(t, "a", all[0].Certname)
	require.Len(t, all[0].Attempts, 1)
	require.NotEmpty(t, all[0].Problems)
}

func TestFatalInStoreLeavesNeighboursAlone(t *testing.T) {
	b, run := prepare(t, t.TempDir(), nil)
	for _, name := range []string{"a", "b", "c"} {
		value := "fine"
		if name == "b" {
			value = "unstorable"
		}
		_, err := b.Enqueue(t.Context(), submission(name, facts(name, value)))
		require.NoError(t, err)
	}
	run()
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	require.ElementsMatch(t, []string{`a="fine"`, `c="fine"`}, b.store.seen())
	require.Len(t, b.letters.seen(), 1)
	require.Equal(t, outcome.CauseStore, b.letters.seen()[0].Cause)
}

func TestPanicEndsOnlyTheCulprit(t *testing.T) {
	b, run := prepare(t, t.TempDir(), nil)
	b.store.explode = "b"
	for _, name := range []string{"a", "b", "c"} {
		_, err := b.Enqueue(t.Context(), submission(name, facts(name, "x")))
		require.NoError(t, err)
	}
	run()
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	require.ElementsMatch(t, []string{`a="x"`, `c="x"`}, b.store.seen())
	require.Len(t, b.letters.seen(), 1)
	require.Equal(t, outcome.CausePanic, b.letters.seen()[0].Cause)
	require.Contains(t, b.letters.seen()[0].Stack, "Apply")
}

// TestOutage: while the store is away commands wait, in order, and are not
// discarded; afterwards all are applied.
func TestOutage(t *testing.T) {
	b, _ := start(t, t.TempDir(), nil)
	b.store.set(errors.New("disk I/O error"))
	id, w, err := b.EnqueueAndWait(t.Context(), submission("a", facts("a", "0")), time.Minute)
	require.NoError(t, err)
	require.ErrorContains(t, w.Err, "disk I/O error", "a failed first try is told")
	status, ok := b.Status(id)
	require.True(t, ok)
	require.Equal(t, commands.StateRetrying, status.State)
	require.Equal(t, "disk I/O error", *status.Error)
	require.Error(t, b.StoreErr())
	want := []string{`a="0"`}
	for i := 1; i <= 5; i++ {
		_, err := b.Enqueue(t.Context(), submission("a", facts("a", fmt.Sprint(i))))
		require.NoError(t, err)
		want = append(want, fmt.Sprintf(`a="%d"`, i))
	}
	<-b.store.probed
	b.store.set(nil)
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, want, b.store.seen())
	require.Empty(t, b.letters.seen())
	require.NoError(t, b.StoreErr())
}

// TestRestart: what was accepted is applied by the next run, in order, under
// the same uuid.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	b, run := prepare(t, dir, nil)
	var want []string
	id, err := b.Enqueue(t.Context(), submission("a_b", facts("a_b", "0")))
	require.NoError(t, err)
	want = append(want, `a_b="0"`)
	for i := 1; i < 20; i++ {
		_, err := b.Enqueue(t.Context(), submission("a_b", facts("a_b", fmt.Sprint(i))))
		require.NoError(t, err)
		want = append(want, fmt.Sprintf(`a_b="%d"`, i))
	}
	b.store.set(errors.New("away"))
	stop := run()
	stop()
	require.Equal(t, 20, b.Depth())

	again, run := prepare(t, dir, nil)
	require.Equal(t, 20, again.Depth())
	status, ok := again.Status(id)
	require.True(t, ok)
	require.Equal(t, commands.StateQueued, status.State)
	run()
	require.Eventually(t, func() bool { return again.Depth() == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, want, again.store.seen())
}

// TestAttemptsOfEarlierRuns are told with the letter.
func TestAttemptsOfEarlierRuns(t *testing.T) {
	dir := t.TempDir()
	q, _, err := queue.Open(queue.Config{Dir: dir})
	require.NoError(t, err)
	e, err := q.Put(t.Context(), queue.NewMeta(wireformat.ReplaceFacts, 5, "a", time.Now(), time.Time{}, false), strings.NewReader("{"))
	require.NoError(t, err)
	require.NoError(t, q.SaveAttempts(e, []queue.Attempt{{At: time.Now(), Error: "the store is away"}}))
	require.NoError(t, q.Close())

	b, _ := start(t, dir, nil)
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	all := b.letters.seen()
	require.Len(t, all, 1)
	require.Len(t, all[0].Attempts, 2)
	require.Equal(t, "the store is away", all[0].Attempts[0].Error)
}

func TestSuperseding(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 1, 0, 0, s, 0, time.UTC) }
	for _, tt := range []struct {
		name     string
		producer []time.Time
		want     []string
		broken   bool
	}{
		{"later wins", []time.Time{at(1), at(2)}, []string{`a="1"`}, false},
		{"equal: the first wins", []time.Time{at(1), at(1)}, []string{`a="0"`}, false},
		{"earlier newcomer is obsolete", []time.Time{at(2), at(1), at(3)}, []string{`a="2"`}, false},
		{"without a time nobody is superseded", []time.Time{{}, {}, at(1)}, []string{`a="0"`, `a="1"`, `a="2"`}, false},
		{"a superseded command is still parsed", []time.Time{at(1), at(2)}, []string{`a="1"`}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, run := prepare(t, t.TempDir(), nil)
			for i, producer := range tt.producer {
				s := submission("a", facts("a", fmt.Sprint(i)))
				if tt.broken && i == 0 {
					s.Body = strings.NewReader("{")
				}
				s.Producer = producer
				_, err := b.Enqueue(t.Context(), s)
				require.NoError(t, err)
			}
			run()
			require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
			require.Equal(t, tt.want, b.store.seen())
			require.Equal(t, tt.broken, len(b.letters.seen()) == 1)
		})
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

func TestChecksum(t *testing.T) {
	body := facts("a", "1")
	envelope := sha(`{"command":"replace facts","version":5,"certname":"a","payload":` + body + `}`)
	python := sha(`{'certname': 'a', 'environment': 'production', 'producer': None, 'producer_timestamp': '2026-11-01T00:00:00Z', 'values': {'n': '1'}}`)
	for name, tt := range map[string]struct {
		checksum, body string
		gzip           bool
		computed       string // "": accepted
		cannot         bool
	}{
		"payload":             {sha(body), body, false, "", false},
		"payload upper case":  {strings.ToUpper(sha(body)), body, false, "", false},
		"envelope":            {envelope, body, false, "", false},
		"pypuppetdb":          {python, body, false, "", false},
		"gzipped payload":     {sha(body), gzipped(body), true, "", false},
		"gzipped envelope":    {envelope, gzipped(body), true, "", false},
		"gzipped pypuppetdb":  {python, gzipped(body), true, "", false},
		"trailing member":     {sha(body), gzipped(body) + "junk", true, "", false},
		"wrong":               {sha("x"), body, false, sha(body), false},
		"wrong gzipped":       {sha("x"), gzipped(body), true, sha(body), false},
		"of the gzip":         {sha(gzipped(body)), gzipped(body), true, sha(body), false},
		"cannot decompress":   {sha(body), body, true, "", true},
		"cut short":           {sha(body), gzipped(body)[:30], true, "", true},
		"not even a checksum": {"x", body, false, sha(body), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cache := range []int64{-1, 1 << 20} {
				b, _ := prepare(t, t.TempDir(), func(c *commands.Config) { c.CacheBytes = cache })
				s := submission("a", tt.body)
				s.Checksum, s.Gzip = tt.checksum, tt.gzip
				_, err := b.Enqueue(t.Context(), s)
				if tt.computed == "" && !tt.cannot {
					require.NoError(t, err)
					require.Equal(t, 1, b.Depth())
					continue
				}
				var mismatch *commands.ChecksumError
				require.ErrorAs(t, err, &mismatch)
				require.Equal(t, tt.checksum, mismatch.Expected)
				require.Equal(t, tt.computed, mismatch.Computed)
				require.Zero(t, b.Depth())
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	bomb := gzipped(strings.Repeat(" ", 1<<20))
	b, _ := start(t, t.TempDir(), func(c *commands.Config) { c.MaxBody = 1 << 16 })
	s := submission("a", bomb)
	s.Gzip, s.Checksum = true, sha("whatever")
	_, w, err := b.EnqueueAndWait(t.Context(), s, time.Minute)
	require.NoError(t, err)
	require.ErrorContains(t, w.Err, "larger than the limit of 65536 bytes")
	require.Equal(t, wireformat.CauseTooLarge, b.letters.seen()[0].Cause)

	b, _ = start(t, t.TempDir(), func(c *commands.Config) { c.MaxBody, c.RejectLarge = 1<<16, true })
	s.Body = strings.NewReader(bomb)
	_, err = b.Enqueue(t.Context(), s)
	var bad *wireformat.Error
	require.ErrorAs(t, err, &bad)
	require.Zero(t, b.Depth())
}

func TestFull(t *testing.T) {
	b, _ := prepare(t, t.TempDir(), func(c *commands.Config) { c.MaxQueued = 1 })
	_, err := b.Enqueue(t.Context(), submission("a", facts("a", "1")))
	require.NoError(t, err)
	_, err = b.Enqueue(t.Context(), submission("a", facts("a", "1")))
	var full *commands.FullError
	require.ErrorAs(t, err, &full)
	require.Positive(t, full.RetryAfter)
}

// TestVanished: a file that somebody took away ends its command, not the run.
func TestVanished(t *testing.T) {
	b, run := prepare(t, t.TempDir(), nil)
	id, err := b.Enqueue(t.Context(), submission("a", facts("a", "1")))
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(b.dir, "q", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Remove(files[0]))
	run()
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	status, ok := b.Status(id)
	require.True(t, ok)
	require.Equal(t, commands.StateDiscarded, status.State)
	require.Empty(t, b.letters.seen())
}

// TestDeadLetterOfficeAway: a command that cannot be discarded stays.
func TestDeadLetterOfficeAway(t *testing.T) {
	b, run := prepare(t, t.TempDir(), nil)
	b.letters.down = errors.New("no space")
	run()
	id, w, err := b.EnqueueAndWait(t.Context(), submission("a", "{"), time.Minute)
	require.NoError(t, err)
	require.ErrorContains(t, w.Err, "no space")
	status, _ := b.Status(id)
	require.NotEqual(t, commands.StateDiscarded, status.State)
	b.letters.mu.Lock()
	b.letters.down = nil
	b.letters.mu.Unlock()
	require.Eventually(t, func() bool { return b.Depth() == 0 }, 10*time.Second, time.Millisecond)
	require.Len(t, b.letters.seen(), 1)
	require.Greater(t, len(b.letters.seen()[0].Attempts), 1)
}
