package schedule

import (
	"context"
	"time"

	"dalang/orchestrator/job"
)

// Entries keeps entries. Methods may be called at the same time.
type Entries interface {
	// ScheduledJobs are the entries that a filter lets pass, and how many there
	// are without limit and offset.
	ScheduledJobs(ctx context.Context, f Filter) (entries []Entry, total int, err error)
	// ScheduledJob is one entry, or Unknown.
	ScheduledJob(ctx context.Context, id int64) (*Entry, error)
	// AddScheduledJob stores a new entry and answers its id.
	AddScheduledJob(ctx context.Context, e *Entry) (int64, error)
	// ChangeScheduledJob has change change an entry in one transaction; Unknown,
	// and the errors of change, which undo everything. Type, owner, Created and
	// Last stay as they are.
	ChangeScheduledJob(ctx context.Context, id int64, change func(*Entry) error) error
	// DeleteScheduledJob deletes an entry with its firings, if check has nothing
	// against it, or answers Unknown.
	DeleteScheduledJob(ctx context.Context, id int64, check func(*Entry) error) error
}

// Firings keeps firings. What its methods return for without an error is on disk.
type Firings interface {
	// ClaimDue claims the entries that are due at now, in one transaction, and
	// answers the new firings, and when the next entry is due, zero: never. Of
	// an entry that has an open firing, what came due becomes part of that.
	ClaimDue(ctx context.Context, now time.Time) (claimed []Firing, next time.Time, err error)
	// OpenFirings are those that are not settled, in order.
	OpenFirings(ctx context.Context) ([]Firing, error)
	// SettleFiring settles an open firing with why it started no job. One that
	// is settled, or gone, stays so.
	SettleFiring(ctx context.Context, id int64, at time.Time, why *job.Error) error
	// ResumeSchedules moves the next instants back to where Grid.Resume sees
	// them, if that is earlier, and answers of how many.
	ResumeSchedules(ctx context.Context, now time.Time) (int, error)
}

// Store keeps all of it. Whoever creates jobs settles the firings that they
// are for in the same transaction: see job.Draft.
type Store interface {
	Entries
	Firings
}
