package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// Population is how much there is of what. Cached for a minute. Resources are
// those of all nodes' catalogs, the inactive ones' included.
type Population struct {
	ActiveNodes, InactiveNodes, Resources int64
	ResourcesPerNode                      float64
	DuplicateResources                    float64 // share of resources that are equal to another's, 0 to 1
}

// populationCache is what is known of the population.
type populationCache struct {
	mu   sync.Mutex
	at   time.Time
	last Population

	bodies counted
}

// counted is a count of a table's rows and the highest id at that time. Ids
// rise by one with each row, so that the count of a table of which only garbage
// collection deletes is known without reading it, until that has run.
type counted struct{ rows, highest int64 }

// Population counts nodes and resources, from a row for each node. Only the
// first call after a start, or after a collection of catalogs' garbage, reads
// an index of the resources' bodies.
func (s *Store) Population(ctx context.Context) (Population, error) {
	c := &s.population
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.cfg.Now()
	if !c.at.IsZero() && now.Sub(c.at) <= time.Minute {
		return c.last, nil
	}
	var p Population
	var bodies int64
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		if bodies, err = c.countBodies(ctx, conn); err != nil {
			return err
		}
		return conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM node WHERE deactivated IS NULL AND expired IS NULL),
			(SELECT count(*) FROM node WHERE deactivated IS NOT NULL OR expired IS NOT NULL),
			(SELECT coalesce(sum(resource_count), 0) FROM catalog)`).Scan(&p.ActiveNodes, &p.InactiveNodes, &p.Resources)
	})
	if err != nil {
		return Population{}, fmt.Errorf("count the population: %w", err)
	}
	if nodes := p.ActiveNodes + p.InactiveNodes; nodes > 0 {
		p.ResourcesPerNode = float64(p.Resources) / float64(nodes)
	}
	if p.Resources > 0 {
		p.DuplicateResources = max(0, float64(p.Resources-bodies)/float64(p.Resources))
	}
	c.at, c.last = now, p
	return p, nil
}

// countBodies counts different resources. c.mu is held.
func (c *populationCache) countBodies(ctx context.Context, conn *sql.Conn) (int64, error) {
	var highest int64
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM resource_body").Scan(&highest); err != nil {
		return 0, err
	}
	if c.bodies.highest == 0 {
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM resource_body").Scan(&c.bodies.rows); err != nil {
			return 0, err
		}
		c.bodies.highest = highest
	}
	return c.bodies.rows + highest - c.bodies.highest, nil
}

// bodiesDeleted makes the next one who asks count anew.
func (c *populationCache) bodiesDeleted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies = counted{}
}
