package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// Population is how much there is of what. Cached for a minute.
type Population struct {
	ActiveNodes, InactiveNodes, Resources int64
	ResourcesPerNode                      float64
	DuplicateResources                    float64 // share of resources that are equal to another's, 0 to 1
}

type populationCache struct {
	mu   sync.Mutex
	at   time.Time
	last Population
}

// Population counts nodes and resources.
func (s *Store) Population(ctx context.Context) (Population, error) {
	s.population.mu.Lock()
	defer s.population.mu.Unlock()
	if now := s.cfg.Now(); s.population.at.IsZero() || now.Sub(s.population.at) > time.Minute {
		var p Population
		var bodies int64
		err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
			return conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM node WHERE deactivated IS NULL AND expired IS NULL),
				(SELECT count(*) FROM node WHERE deactivated IS NOT NULL OR expired IS NOT NULL),
				(SELECT count(*) FROM resource r JOIN node n ON n.id = r.node_id AND n.deactivated IS NULL AND n.expired IS NULL),
				(SELECT count(*) FROM resource_body)`).Scan(&p.ActiveNodes, &p.InactiveNodes, &p.Resources, &bodies)
		})
		if err != nil {
			return Population{}, fmt.Errorf("count the population: %w", err)
		}
		if p.ActiveNodes > 0 {
			p.ResourcesPerNode = float64(p.Resources) / float64(p.ActiveNodes)
		}
		if p.Resources > 0 {
			p.DuplicateResources = max(0, float64(p.Resources-bodies)/float64(p.Resources))
		}
		s.population.at, s.population.last = now, p
	}
	return s.population.last, nil
}
