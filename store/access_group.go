package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"dalang/orchestrator/classifier"
)

const groupColumns = "id, name, description, environment, environment_trumps, parent, rule, classes, variables, config_data, last_edited, serial_number"

// NodeGroups are all node groups; see classifier.Store.
func (s *Store) NodeGroups(ctx context.Context) (groups []classifier.Group, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		groups, err = collect(ctx, conn, scanGroup, "SELECT "+groupColumns+" FROM node_group")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read node groups: %w", err)
	}
	return groups, nil
}

func scanGroup(rows *sql.Rows) (g classifier.Group, err error) {
	var rule sql.NullString
	var classes, variables, data string
	var edited int64
	if err = rows.Scan(&g.ID, &g.Name, &g.Description, &g.Environment, &g.EnvironmentTrumps, &g.Parent, &rule, &classes, &variables, &data,
		&edited, &g.Serial); err != nil {
		return g, err
	}
	g.LastEdited = time.UnixMilli(edited).UTC()
	if g.Rule, err = classifier.ParseRule(json.RawMessage(rule.String)); err != nil {
		return g, fmt.Errorf("node group %s: %w", g.ID, err)
	}
	for _, column := range []struct {
		text string
		into any
	}{{classes, &g.Classes}, {variables, &g.Variables}, {data, &g.ConfigData}} {
		if err = json.Unmarshal([]byte(column.text), column.into); err != nil {
			return g, fmt.Errorf("node group %s: %w", g.ID, err)
		}
	}
	return g, nil
}

// PutNodeGroup stores a node group; see classifier.Store.
func (s *Store) PutNodeGroup(ctx context.Context, g *classifier.Group) error {
	var text [4][]byte
	for i, v := range []any{g.Rule, g.Classes, g.Variables, g.ConfigData} {
		var err error
		if text[i], err = json.Marshal(v); err != nil {
			return fmt.Errorf("put node group %s: %w", g.ID, err)
		}
		if string(text[i]) == "null" {
			text[i] = []byte("{}")
		}
	}
	rule := any(string(text[0]))
	if g.Rule == nil {
		rule = nil
	}
	return s.changeAccess(ctx, "put node group "+g.ID, func(w *writer) error {
		var other string
		found, err := w.row("SELECT id FROM node_group WHERE name = ?1 AND environment = ?2", []any{g.Name, g.Environment}, &other)
		if err != nil {
			return err
		}
		if found && other != g.ID {
			return classifier.ErrDuplicate
		}
		return w.exec(`INSERT INTO node_group (`+groupColumns+`) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
			ON CONFLICT (id) DO UPDATE SET name = ?2, description = ?3, environment = ?4, environment_trumps = ?5, parent = ?6, rule = ?7,
			classes = ?8, variables = ?9, config_data = ?10, last_edited = ?11, serial_number = ?12`,
			g.ID, g.Name, g.Description, g.Environment, g.EnvironmentTrumps, g.Parent, rule, string(text[1]), string(text[2]), string(text[3]),
			ms(g.LastEdited), g.Serial)
	})
}

// DeleteNodeGroup deletes a node group; see classifier.Store.
func (s *Store) DeleteNodeGroup(ctx context.Context, id string) error {
	return s.changeAccess(ctx, "delete node group "+id, func(w *writer) error {
		return w.exec("DELETE FROM node_group WHERE id = ?1", id)
	})
}

var _ classifier.Store = (*Store)(nil)
