package dlo

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"dalang/commands"
)

// Page chooses a part of a listing. The zero value is all of it, newest first.
type Page struct {
	Limit       int  // letters at most; 0: all
	Offset      int  // letters to step over
	OldestFirst bool // in order of acceptance; else the other way round
}

// Listing is a page of letters.
type Listing struct {
	Letters []Summary `json:"letters"`
	Total   int       `json:"total"` // letters that the filter chose
	Bytes   int64     `json:"bytes"` // of their bodies
}

// List lists letters.
func (o *Office) List(ctx context.Context, f Filter, p Page) (Listing, error) {
	if p.Limit < 0 || p.Offset < 0 {
		return Listing{}, inputErrorf("limit and offset cannot be negative")
	}
	match, err := o.compile(f)
	if err != nil {
		return Listing{}, err
	}
	if err := o.load(ctx); err != nil {
		return Listing{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.matching(match)
	if !p.OldestFirst {
		slices.Reverse(list)
	}
	out := Listing{Total: len(list), Letters: []Summary{}}
	for _, l := range list {
		out.Bytes += l.size
	}
	list = list[min(p.Offset, len(list)):]
	if p.Limit > 0 {
		list = list[:min(p.Limit, len(list))]
	}
	for _, l := range list {
		out.Letters = append(out.Letters, l.summary())
	}
	return out, nil
}

// CauseStats is what there is of one cause.
type CauseStats struct {
	Cause     string             `json:"cause"`
	Count     int                `json:"count"`
	Bytes     int64              `json:"bytes"`
	Oldest    commands.Timestamp `json:"oldest"` // times of discarding
	Newest    commands.Timestamp `json:"newest"`
	Certnames int                `json:"certnames"` // different ones
	Commands  []CommandCount     `json:"commands"`  // most first
}

// CommandCount is how many letters are of a command.
type CommandCount struct {
	Command string `json:"command"`
	Count   int    `json:"count"`
}

// Stats is the account of an office.
type Stats struct {
	Causes    []CauseStats `json:"causes"` // most first
	Count     int          `json:"count"`
	Bytes     int64        `json:"bytes"`
	Certnames int          `json:"certnames"`
}

// Stats counts letters by cause.
func (o *Office) Stats(ctx context.Context, f Filter) (Stats, error) {
	match, err := o.compile(f)
	if err != nil {
		return Stats{}, err
	}
	if err := o.load(ctx); err != nil {
		return Stats{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	groups := map[string][]*letter{}
	certnames := map[string]bool{}
	out := Stats{Causes: []CauseStats{}}
	for _, l := range o.order {
		if match(l) {
			groups[l.cause] = append(groups[l.cause], l)
			certnames[l.certname] = true
			out.Count++
			out.Bytes += l.size
		}
	}
	out.Certnames = len(certnames)
	for cause, list := range groups {
		out.Causes = append(out.Causes, account(cause, list))
	}
	slices.SortFunc(out.Causes, func(a, b CauseStats) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cause, b.Cause))
	})
	return out, nil
}

// account sums up letters of one cause; under mu.
func account(cause string, list []*letter) CauseStats {
	s := CauseStats{Cause: cause, Count: len(list), Oldest: stamp(list[0].discarded), Newest: stamp(list[0].discarded)}
	certnames, counts := map[string]bool{}, map[string]int{}
	for _, l := range list {
		s.Bytes += l.size
		if at := stamp(l.discarded); at.Before(s.Oldest.Time) {
			s.Oldest = at
		} else if at.After(s.Newest.Time) {
			s.Newest = at
		}
		certnames[l.certname] = true
		counts[string(l.meta.Command)]++
	}
	s.Certnames = len(certnames)
	for c, n := range counts {
		s.Commands = append(s.Commands, CommandCount{c, n})
	}
	slices.SortFunc(s.Commands, func(a, b CommandCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Command, b.Command))
	})
	return s
}

// lookup finds a letter, also one whose diagnosis has to be read first because
// it knows the uuid better than the name.
func (o *Office) lookup(ctx context.Context, id string) (*letter, error) {
	o.mu.Lock()
	l, err := o.find(id)
	unread := o.unread
	o.mu.Unlock()
	if !errors.Is(err, ErrNotFound) || unread == 0 {
		return l, err
	}
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.find(id)
}

// Get returns the whole diagnosis of a letter. id is its uuid, the name of its
// body file, or the beginning of the uuid when that is the only one.
// The errors are ErrNotFound (wrapped or not) and *AmbiguousError.
func (o *Office) Get(ctx context.Context, id string) (Diagnosis, error) {
	l, err := o.lookup(ctx, id)
	if err != nil {
		return Diagnosis{}, err
	}
	return o.readOrGuess(l), nil
}

// FindDiscarded is the state of a command that ended here.
func (o *Office) FindDiscarded(id uuid.UUID) (commands.Status, bool) {
	d, err := o.Get(context.Background(), id.String())
	if err != nil {
		return commands.Status{}, false
	}
	s := commands.Status{
		UUID: d.UUID, Command: string(d.Command), Version: d.Version, Certname: d.Certname,
		State: commands.StateDiscarded, Received: d.Received, ProducerTimestamp: d.ProducerTimestamp,
		Attempts: len(d.Attempts), Finished: &d.DiscardedAt, Error: &d.Message,
	}
	if n := len(d.Attempts); n > 0 {
		started := stamp(d.Attempts[n-1].At)
		s.Started = &started
	}
	return s, true
}
