package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// insertSecrets writes what a draft has sealed.
func (w *writer) insertSecrets(made *job.Job, d *job.Draft) error {
	const statement = "INSERT INTO job_secret (job_id, certname, sealed) VALUES (?1, ?2, ?3)"
	if made.Sealed != nil {
		if err := w.exec(statement, made.ID, "", made.Sealed); err != nil {
			return err
		}
	}
	for _, certname := range slices.Sorted(maps.Keys(d.Connections)) {
		if err := w.exec(statement, made.ID, certname, d.Connections[certname]); err != nil {
			return err
		}
	}
	return nil
}

// readSecret is what was sealed for a node of a job, nil if nothing is.
func readSecret(ctx context.Context, conn *sql.Conn, id int64, certname string) (sealed []byte, err error) {
	err = conn.QueryRowContext(ctx, "SELECT sealed FROM job_secret WHERE job_id = ?1 AND certname = ?2", id, certname).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return sealed, err
}

// JobConnection is the sealed connection of a node in a job, nil if there is
// none: it was not given one, or its run has ended.
func (s *Store) JobConnection(ctx context.Context, id int64, certname string) (sealed []byte, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		sealed, err = readSecret(ctx, conn, id, certname)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the connection of a node of job %d: %w", id, err)
	}
	return sealed, nil
}

const connectionColumns = "certname, id, type, parameters, sealed"

func scanConnection(rows *sql.Rows) (c job.StoredConnection, err error) {
	var id, parameters string
	if err = rows.Scan(&c.Certname, &id, &c.Type, &parameters, &c.Sealed); err != nil {
		return c, err
	}
	c.Parameters = json.RawMessage(parameters)
	c.ID, err = uuid.Parse(id)
	return c, err
}

// Connections are the stored ones of some nodes, of all for nil, by certname.
func (s *Store) Connections(ctx context.Context, certnames []string) (list []job.StoredConnection, err error) {
	where, args := "1", []any{}
	if certnames != nil {
		names, err := json.Marshal(certnames)
		if err != nil {
			return nil, fmt.Errorf("read connections: %w", err)
		}
		where, args = "certname IN (SELECT value FROM json_each(?1))", append(args, string(names))
	}
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		list, err = collect(ctx, conn, scanConnection, "SELECT "+connectionColumns+" FROM connection WHERE "+where+" ORDER BY certname", args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read connections: %w", err)
	}
	return list, nil
}

// AddConnections stores connections. Without replace, nothing is stored if
// some of the nodes have one already: these are returned, sorted.
func (s *Store) AddConnections(ctx context.Context, list []job.StoredConnection, replace bool) (duplicates []string, err error) {
	now := ms(s.cfg.Now())
	err = s.changeAccess(ctx, "store connections", func(w *writer) error {
		duplicates = nil
		for _, c := range list {
			var one int
			found, err := w.row("SELECT 1 FROM connection WHERE certname = ?1", []any{c.Certname}, &one)
			if err != nil {
				return err
			}
			if found {
				duplicates = append(duplicates, c.Certname)
			}
		}
		if len(duplicates) > 0 && !replace {
			slices.Sort(duplicates)
			return nil
		}
		for _, c := range list {
			if err := w.exec(`INSERT OR REPLACE INTO connection (certname, id, type, parameters, sealed, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
				c.Certname, c.ID.String(), c.Type, object(c.Parameters), c.Sealed, now); err != nil {
				return err
			}
		}
		return nil
	})
	if replace {
		duplicates = nil
	}
	return duplicates, err
}

// DeleteConnections deletes those of some nodes; who has none does no harm.
func (s *Store) DeleteConnections(ctx context.Context, certnames []string) error {
	names, err := json.Marshal(certnames)
	if err != nil {
		return fmt.Errorf("delete connections: %w", err)
	}
	return s.changeAccess(ctx, "delete connections", func(w *writer) error {
		return w.exec("DELETE FROM connection WHERE certname IN (SELECT value FROM json_each(?1))", string(names))
	})
}

// AddTaskTarget stores a task-target and gives its id.
func (s *Store) AddTaskTarget(ctx context.Context, t *job.TaskTarget) (id int64, err error) {
	var lists [3]string
	for i, list := range [][]string{t.Tasks, t.Nodes, t.NodeGroups} {
		text, err := json.Marshal(append([]string{}, list...))
		if err != nil {
			return 0, fmt.Errorf("store a task-target: %w", err)
		}
		lists[i] = string(text)
	}
	err = s.changeAccess(ctx, "store a task-target", func(w *writer) error {
		result, err := w.execResult(`INSERT INTO task_target (display_name, tasks, all_tasks, nodes, node_groups, pql, created)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`, t.DisplayName, lists[0], t.AllTasks, lists[1], lists[2], t.PQL, ms(s.cfg.Now()))
		if err == nil {
			id, err = result.LastInsertId()
		}
		return err
	})
	return id, err
}

// DeleteTaskTarget deletes a task-target; found is false if there is none.
func (s *Store) DeleteTaskTarget(ctx context.Context, id int64) (found bool, err error) {
	err = s.changeAccess(ctx, "delete a task-target", func(w *writer) error {
		n, err := w.changed("DELETE FROM task_target WHERE id = ?1", id)
		found = n > 0
		return err
	})
	return found, err
}

// TaskTargets are all task-targets by id.
func (s *Store) TaskTargets(ctx context.Context) (list []job.TaskTarget, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		list, err = collect(ctx, conn, scanTaskTarget, "SELECT id, display_name, tasks, all_tasks, nodes, node_groups, pql FROM task_target ORDER BY id")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read task-targets: %w", err)
	}
	return list, nil
}

func scanTaskTarget(rows *sql.Rows) (t job.TaskTarget, err error) {
	var tasks, nodes, groups string
	if err = rows.Scan(&t.ID, &t.DisplayName, &tasks, &t.AllTasks, &nodes, &groups, &t.PQL); err != nil {
		return t, err
	}
	for _, list := range []struct {
		text string
		into *[]string
	}{{tasks, &t.Tasks}, {nodes, &t.Nodes}, {groups, &t.NodeGroups}} {
		if err = json.Unmarshal([]byte(list.text), list.into); err != nil {
			return t, fmt.Errorf("task-target %d: %w", t.ID, err)
		}
	}
	return t, nil
}
