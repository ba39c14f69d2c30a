package queue_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/commands/queue/faultfs"
)

// TestCrashAtEveryStep: at every operation of a sequence of Puts, Acks and
// SaveAttempts the power fails, or the program is killed.
func TestCrashAtEveryStep(t *testing.T) {
	disk := faultfs.New()
	q, _ := open(t, disk)
	known := newPromised()
	steps := 0
	disk.Before(func(o faultfs.Op) error {
		steps++
		known.clone().check(t, disk.Kill(), whole, "killed before "+o.String())
		for seed := range uint64(12) {
			known.clone().check(t, disk.Crash(seed), whole, fmt.Sprintf("crash %d before %s", seed, o))
		}
		return nil
	})
	for i := range 8 {
		e := mustPut(t, q, i)
		_, text := command(i)
		known.accepted(e, text)
		if i%2 == 0 {
			require.NoError(t, q.SaveAttempts(e, attempts("first")))
		}
		if i%3 == 0 {
			known.leaving(e)
			require.NoError(t, q.Ack(e))
		}
	}
	require.Greater(t, steps, 8*6)
	require.NoError(t, q.Close())
	for seed := range uint64(50) {
		known.check(t, disk.Crash(seed), whole, fmt.Sprint("at the end, crash ", seed))
	}
}

// TestCrashDuringConcurrentPuts: the same when Puts share directory syncs.
func TestCrashDuringConcurrentPuts(t *testing.T) {
	disk := faultfs.New()
	q, _ := open(t, disk)
	known := newPromised()
	type cut struct {
		disk  *faultfs.FS
		known *promised
		where string
	}
	var mu sync.Mutex
	var cuts []cut
	disk.Before(func(o faultfs.Op) error {
		if o.N%3 == 0 {
			before := known.clone() // first: what is promised meanwhile may be on the disk
			crashed := disk.Crash(uint64(o.N) % 20)
			before.excuse(known.clone()) // what began to leave meanwhile may be gone
			mu.Lock()
			defer mu.Unlock()
			cuts = append(cuts, cut{crashed, before, fmt.Sprintf("%d %s", o.N, o)})
		}
		return nil
	})
	const workers, each = 8, 12
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for i := w * each; i < (w+1)*each; i++ {
				e, err := put(q, i)
				if err != nil {
					t.Error(err)
					return
				}
				_, text := command(i)
				known.accepted(e, text)
				if i%4 == 0 {
					known.leaving(e)
					if err := q.Ack(e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done.Wait()
	require.NoError(t, q.Close())
	require.NotEmpty(t, cuts)
	for _, c := range cuts {
		c.known.check(t, c.disk, whole, c.where)
	}
	known.check(t, disk, whole, "at the end")
}

// TestSyncFailsForAllItCovered: Puts whose names a failed sync was to make
// durable fail, though a later sync succeeds; those before it are not touched.
func TestSyncFailsForAllItCovered(t *testing.T) {
	for range 20 {
		disk := faultfs.New()
		q, _ := open(t, disk)
		known := newPromised()
		e := mustPut(t, q, 0)
		_, text := command(0)
		known.accepted(e, text)

		disk.Reset()
		moved := make(chan struct{})
		const puts = 16
		var mu sync.Mutex
		moves, syncs := 0, 0
		disk.Before(func(o faultfs.Op) error {
			mu.Lock()
			switch o.Kind {
			case "move":
				if moves++; moves == puts {
					close(moved)
				}
			case "syncdir":
				if syncs++; syncs == 1 {
					mu.Unlock()
					<-moved // the others have begun
					return errDisk
				}
			}
			mu.Unlock()
			return nil
		})
		var done sync.WaitGroup
		for i := range puts {
			done.Go(func() {
				if _, err := put(q, i+1); err == nil {
					t.Errorf("command %d was promised", i+1)
				}
			})
		}
		done.Wait()
		require.Error(t, q.Available())
		require.NoError(t, q.Close())
		known.check(t, disk, nil, "restart")
		for seed := range uint64(10) {
			known.check(t, disk.Crash(seed), whole, fmt.Sprint("crash ", seed))
		}
	}
}

// TestPutsShareSyncs: while one sync runs, the others wait for one more
// together.
func TestPutsShareSyncs(t *testing.T) {
	disk := faultfs.New()
	q, _ := open(t, disk)
	disk.Reset()
	const puts = 64
	moved := make(chan struct{})
	var mu sync.Mutex
	moves := 0
	disk.Before(func(o faultfs.Op) error {
		switch o.Kind {
		case "move":
			mu.Lock()
			defer mu.Unlock()
			if moves++; moves == puts {
				close(moved)
			}
		case "syncdir":
			<-moved
		}
		return nil
	})
	var done sync.WaitGroup
	for i := range puts {
		done.Go(func() {
			if _, err := put(q, i); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	syncs := disk.Count("syncdir")
	t.Logf("%d Puts shared %d directory syncs", puts, syncs)
	require.Less(t, syncs, puts/2)
	require.NoError(t, q.Close())
}

// TestSyncBeganLater: a name that was made while a sync ran waits for another.
func TestSyncBeganLater(t *testing.T) {
	for range 50 {
		disk := faultfs.New()
		q, _ := open(t, disk)
		disk.Reset()
		syncing, moving := make(chan struct{}), make(chan struct{})
		var once sync.Once
		moves := 0
		disk.Before(func(o faultfs.Op) error {
			switch o.Kind {
			case "move":
				if moves++; moves == 2 {
					close(moving)
				}
			case "syncdir":
				once.Do(func() {
					close(syncing)
					<-moving
					for range 100 { // time for the other to come and wait
						runtime.Gosched()
					}
				})
			}
			return nil
		})
		var done sync.WaitGroup
		for i := range 2 {
			done.Go(func() {
				if _, err := put(q, i); err != nil {
					t.Error(err)
				}
			})
			<-syncing
		}
		done.Wait()
		require.Equal(t, 2, disk.Count("syncdir"))
		require.NoError(t, q.Close())
	}
}
