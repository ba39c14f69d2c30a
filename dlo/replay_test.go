package dlo

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands"
	"dalang/wireformat"
)

func certnames(s *spool) (list []string) {
	for _, in := range s.got {
		list = append(list, in.Certname)
	}
	return list
}

func all() Selection { return Selection{All: true} }

func TestReplayInOrder(t *testing.T) {
	b := newBench(t)
	b.discard(wireformat.ReplaceFacts, 5, "web1", goodFacts, "store", "too large for the store")
	bad := b.discard(wireformat.ReplaceFacts, 5, "web2", badFacts, "validation", "no")
	b.discard(wireformat.DeactivateNode, 3, "web3", "gz:"+deadNode, "store", "no")
	b.reopen()

	var seen []Progress
	to := &spool{}
	res, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, func(p Progress) { seen = append(seen, p) })
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Selected: 3, Replayed: 2, Failing: 1}, res)
	require.Equal(t, []string{"web1", "web3"}, certnames(to))
	require.Equal(t, goodFacts, to.body[0])
	require.Equal(t, gzipped(t, deadNode), to.body[1], "as it was received")
	require.True(t, to.got[1].Gzip)
	require.Equal(t, "compiler1", to.got[0].Client)

	require.Len(t, seen, 3)
	require.Equal(t, 2, seen[1].Done)
	require.Equal(t, 3, seen[1].Total)
	require.Equal(t, bad, seen[1].UUID)
	require.NotEmpty(t, seen[1].Error)
	require.NotEmpty(t, seen[1].Problems)
	require.Nil(t, seen[1].NewUUID)
	require.NotNil(t, seen[2].NewUUID)

	left := b.list(Filter{})
	require.Len(t, left, 1)
	require.Equal(t, bad, left[0].UUID)
	require.Len(t, b.files(), 3)
	require.Equal(t, 2., b.metric("dalang_dlo_replayed_total", "cause=store"))
	require.Equal(t, 1., b.metric("dalang_dlo_messages"))
	require.Contains(t, b.log.String(), "new_uuid="+seen[0].NewUUID.String())
	as, ok := b.office.ReplayedAs(seen[0].UUID)
	require.True(t, ok)
	require.Equal(t, *seen[0].NewUUID, as)
	_, ok = b.office.ReplayedAs(bad)
	require.False(t, ok, "it stays")
}

func TestReplayedAs(t *testing.T) {
	id := func(n byte) uuid.UUID { return uuid.UUID{n} }
	o := &Office{successors: newSuccessors(3)}
	o.successors.add(id(1), id(2))
	o.successors.add(id(2), id(3))
	as, ok := o.ReplayedAs(id(1))
	require.True(t, ok)
	require.Equal(t, id(3), as, "replayed twice")
	o.successors.add(id(5), id(6))
	o.successors.add(id(5), id(7)) // its letter could not be removed the first time
	o.successors.add(id(8), id(9))
	_, ok = o.ReplayedAs(id(1))
	require.False(t, ok, "only the last three are known")
	for asked, want := range map[byte]byte{2: 3, 5: 7, 8: 9} {
		as, ok = o.ReplayedAs(id(asked))
		require.True(t, ok)
		require.Equal(t, id(want), as)
	}
	none := &Office{successors: newSuccessors(-1)}
	none.successors.add(id(1), id(2))
	_, ok = none.ReplayedAs(id(1))
	require.False(t, ok)
	o.successors.add(id(9), id(8))
	_, ok = o.ReplayedAs(id(8))
	require.True(t, ok, "a circle, which uuids do not make, has an end")
}

// Ids start again at 0 when the queue was empty at a start; time goes on.
func TestReplayOrderIsOfAcceptance(t *testing.T) {
	b := newBench(t)
	for _, in := range []struct {
		id       uint64
		certname string
		at       time.Duration
	}{{7, "second", time.Hour}, {0, "third", 2 * time.Hour}, {1, "fourth", 3 * time.Hour}, {6, "first", 0}} {
		e := b.put(wireformat.DeactivateNode, 3, in.certname, deadNode)
		l := b.letter(e, in.certname, "store", "no")
		l.Entry.ID, l.Entry.Meta.Received = in.id, b.now.Add(in.at)
		require.NoError(t, b.office.Discard(context.Background(), l))
	}
	to := &spool{}
	_, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second", "third", "fourth"}, certnames(to))
}

func TestReplayForce(t *testing.T) {
	b := newBench(t)
	b.discard(wireformat.ReplaceFacts, 5, "web2", badFacts, "validation", "no")
	to := &spool{}
	res, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all(), Force: true}, to, nil)
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Selected: 1, Replayed: 1}, res)
	require.Empty(t, b.files())
}

func TestReplayDryRun(t *testing.T) {
	b := newBench(t)
	b.discard(wireformat.ReplaceFacts, 5, "web1", goodFacts, "version", "no")
	b.discard(wireformat.ReplaceFacts, 5, "web2", badFacts, "validation", "no")
	before := b.files()
	var errs []string
	res, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all(), DryRun: true}, nil,
		func(p Progress) { errs = append(errs, p.Error) })
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Selected: 2, Replayed: 1, Failing: 1, DryRun: true}, res)
	require.Empty(t, errs[0])
	require.NotEmpty(t, errs[1])
	require.Equal(t, before, b.files())
	require.Len(t, b.list(Filter{}), 2)
}

func TestReplaySelection(t *testing.T) {
	b := newBench(t)
	one := b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	b.discard(wireformat.DeactivateNode, 3, "web2", deadNode, "panic", "no")
	b.discard(wireformat.DeactivateNode, 3, "web3", deadNode, "panic", "no")
	run := func(s Selection) ([]string, error) {
		to := &spool{}
		_, err := b.office.Replay(context.Background(), ReplayRequest{Selection: s}, to, nil)
		return certnames(to), err
	}
	var input *InputError
	_, err := run(Selection{})
	require.ErrorAs(t, err, &input)
	_, err = run(Selection{All: true, IDs: []string{one.String()}})
	require.ErrorAs(t, err, &input)
	got, err := run(Selection{IDs: []string{one.String(), "ffff-unknown"}})
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "ffff-unknown")
	require.Empty(t, got, "nothing is replayed unless all ids are known")
	got, err = run(Selection{IDs: []string{one.String(), one.String()[:13]}})
	require.NoError(t, err)
	require.Equal(t, []string{"web1"}, got)
	got, err = run(Selection{Filter: Filter{Cause: "panic", Certname: "web3"}})
	require.NoError(t, err)
	require.Equal(t, []string{"web3"}, got)
	require.Len(t, b.list(Filter{}), 1)
}

func TestReplayStopsAndGoesOn(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	}
	down := errors.New("the disk is full")
	to := &spool{fail: func(n int) error {
		if n == 1 {
			return down
		}
		return nil
	}}
	res, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, nil)
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, "replay stopped after 1 of 3 letters")
	require.Equal(t, 1, res.Replayed)
	require.Len(t, b.list(Filter{}), 2)
	res, err = b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, nil)
	require.NoError(t, err)
	require.Equal(t, 2, res.Replayed)
	require.Empty(t, b.files())

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	_, err = b.office.Replay(ctx, ReplayRequest{Selection: all()}, to, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, b.list(Filter{}), 1)
}

func TestReplayWaitsWhileTheQueueIsFull(t *testing.T) {
	b := newBench(t)
	b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		to := &spool{fail: func(n int) error {
			if n < 3 {
				return &commands.FullError{Queued: 9, RetryAfter: 10 * time.Second}
			}
			return nil
		}}
		_, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, nil)
		require.NoError(t, err)
		require.Equal(t, 30*time.Second, time.Since(begin))
		require.Equal(t, deadNode, to.body[0], "the body is read from its start again")
	})
}

func TestReplayRate(t *testing.T) {
	b := newBench(t)
	for range 4 {
		b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all(), Rate: 2}, &spool{}, nil)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(begin))
	})
	_, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all(), Rate: -1}, &spool{}, nil)
	require.ErrorContains(t, err, "rate")
}

func TestReplaySkipsWhatOthersHave(t *testing.T) {
	b := newBench(t)
	one := b.discard(wireformat.DeactivateNode, 3, "web1", deadNode, "store", "no")
	b.discard(wireformat.DeactivateNode, 3, "web2", deadNode, "store", "no")
	b.discard(wireformat.DeactivateNode, 3, "web3", deadNode, "store", "no")
	l, err := b.office.claim(one.String())
	require.NoError(t, err)
	require.NoError(t, os.Remove(b.cfg.Dir+"/"+b.files()[3])) // web2's body
	to := &spool{}
	res, err := b.office.Replay(context.Background(), ReplayRequest{Selection: all()}, to, nil)
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Selected: 3, Replayed: 1, Skipped: 2}, res)
	b.office.release(l)
	_, err = b.office.claim(uuid.NewString())
	require.ErrorIs(t, err, ErrNotFound)
}
