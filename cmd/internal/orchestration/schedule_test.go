package orchestration

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/store"
)

// TestSchedulesSurviveKills kills the server again and again while schedules
// come due every second: each firing has one job, each job is of one firing,
// and no instant is fired for twice.
func TestSchedulesSurviveKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	const schedules = 5
	kills := number(t, "DALANG_CRASH_JOB_KILLS", 4)
	seed := uint64(number(t, "DALANG_CRASH_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("DALANG_CRASH_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, seed))
	w := newWorld(t, "--log-level", "warn", "--set", "orchestrator.schedule-warmup=0s")
	for i := range schedules {
		status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/scheduled_jobs/environment_jobs", fmt.Sprintf(`{"type":"deploy","environment":"","description":"",
			"userdata":{},"input":{"scope":{"nodes":["n%d"]},"enforce_environment":false},"schedule":{"start_time":%q,"interval":{"units":"seconds","value":1}}}`,
			i, time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)))
		require.Equal(t, http.StatusAccepted, status, "%s", text)
	}
	for range kills {
		time.Sleep(time.Duration(200+chance.IntN(1300)) * time.Millisecond) // something shall have happened
		w.Kill(t)
		w.Start(t)
	}
	before := w.total(t, "/jobs")
	require.Eventually(t, func() bool { return w.total(t, "/jobs") >= before+schedules }, 30*time.Second, 100*time.Millisecond, "they go on")
	for i := range schedules {
		status, text, _ := w.ask(t, http.MethodPut, fmt.Sprintf("/orchestrator/v1/scheduled_jobs/environment_jobs/%d", i+1), `{"enabled":false}`)
		require.Equal(t, http.StatusOK, status, "%s", text)
	}
	w.Kill(t)
	fired := w.counts(t, `SELECT count(*), count(DISTINCT job_id), (SELECT count(*) FROM job), count(DISTINCT scheduled_job_id || ' ' || instant),
		(SELECT count(*) FROM scheduled_firing WHERE error IS NOT NULL) FROM scheduled_firing WHERE job_id IS NOT NULL`, 5)
	t.Logf("%d firings in %d lives", fired[0], kills+1)
	require.GreaterOrEqual(t, fired[0], schedules)
	require.Equal(t, []int{fired[0], fired[0], fired[0], fired[0], 0}, fired, "firings with a job, their jobs, all jobs, instants fired for; refused")
	w.Start(t)
}

// total is how many there are in a list.
func (w *world) total(t *testing.T, path string) int {
	var list struct{ Pagination struct{ Total int } }
	w.read(t, path+"?limit=1", &list)
	return list.Pagination.Total
}

// counts reads one row of numbers of a server that is down.
func (w *world) counts(t *testing.T, query string, columns int) []int {
	t.Helper()
	r, err := store.OpenReader(t.Context(), filepath.Join(w.Data, "dalang.db"))
	require.NoError(t, err)
	defer r.Close()
	numbers, into := make([]int, columns), make([]any, columns)
	for i := range numbers {
		into[i] = &numbers[i]
	}
	require.NoError(t, r.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, query).Scan(into...)
	}))
	return numbers
}
