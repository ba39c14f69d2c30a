package crash

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

const submitters = 6

func TestNothingAcceptedIsLost(t *testing.T) {
	kills := setting(t, "DALANG_CRASH_KILLS", 6)
	seed := uint64(setting(t, "DALANG_CRASH_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("DALANG_CRASH_SEED=%d DALANG_CRASH_KILLS=%d", seed, kills)
	random := rand.New(rand.NewPCG(seed, 0))

	v := dalangtest.New(t, dalangtest.Build(t))
	v.Start(t)
	c := &clients{v: v, nodes: map[string]*promise{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() { c.run(ctx, seed, i+1) })
	}
	for range kills {
		time.Sleep(time.Duration(20+random.IntN(500)) * time.Millisecond)
		v.Kill(t)
		v.Start(t)
	}
	cancel()
	wg.Wait()
	v.Drain(t)
	verify(t, v, c)
	v.Stop(t)
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// verify compares what was promised with what is there.
func verify(t *testing.T, v *dalangtest.Server, c *clients) {
	t.Helper()
	var rows []struct {
		Certname string
		Version  string `json:"configuration_version"`
	}
	v.Decode(t, "/pdb/query/v4/reports", `["extract",["certname","configuration_version"]]`, &rows)
	stored := map[string]int{}
	for _, r := range rows {
		stored[r.Version]++
	}
	var facts []struct {
		Certname string
		Value    int
	}
	v.Decode(t, "/pdb/query/v4/facts/counter", "", &facts)
	counter := map[string]int{}
	for _, f := range facts {
		counter[f.Certname] = f.Value
	}
	promised := 0
	for certname, node := range c.nodes {
		for _, version := range node.reports {
			promised++
			require.Equal(t, 1, stored[version], "report %s", version)
		}
		require.GreaterOrEqual(t, counter[certname], node.facts, "facts of %s", certname)
		require.LessOrEqual(t, counter[certname], node.tried, "facts of %s", certname)
		for _, uuid := range node.broken {
			promised++
			var status struct{ State string }
			v.Decode(t, "/pdb/cmd/v1/"+uuid, "", &status)
			require.Equal(t, "discarded", status.State, "command %s of %s", uuid, certname)
		}
	}
	for version, times := range stored {
		require.Equal(t, 1, times, "report %s is stored more than once", version)
	}
	require.NotZero(t, promised)
	t.Logf("%d reports stored, %d promises to keep, %d answered submissions", len(rows), promised, c.sent)
}

func uuidIn(answer []byte) string {
	var body struct{ UUID string }
	_ = json.Unmarshal(answer, &body)
	return body.UUID
}
