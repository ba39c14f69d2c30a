package store

import (
	"time"

	"dalang/commands/outcome"
	"dalang/store/dialect"
	"dalang/wireformat"
)

// report: spec §6.6. Unlike upstream's open build, corrective changes and the
// resources are kept.
func (a *applier) report(p *wireformat.Report) (outcome.Result, error) {
	done := outcome.Result{Status: outcome.Processed, Hash: p.Hash}
	n, err := a.activate(p.Certname, p.ProducerTimestamp)
	if err != nil {
		return done, err
	}
	var known int
	found, err := a.row("SELECT 1 FROM report WHERE hash = ?1", []any{p.Hash}, &known)
	if err != nil {
		return done, err
	}
	if found {
		return outcome.Result{Status: outcome.Duplicate, Hash: p.Hash}, nil
	}
	environment, err := a.environment(&p.Environment)
	if err != nil {
		return done, err
	}
	id, err := a.insertReport(n.id, p, environment)
	if err != nil {
		return done, err
	}
	counts, err := a.insertEvents(id, p.Events)
	if err != nil {
		return done, err
	}
	if err := a.noteReport(id, p); err != nil {
		return done, err
	}
	if p.Type == "plan" || n.report.Valid && n.report.Int64 >= ms(p.ProducerTimestamp) {
		return done, nil
	}
	return done, a.exec(`UPDATE node SET latest_report_id = ?2, report_timestamp = ?3, report_producer_timestamp = ?4,
		report_environment_id = ?5, latest_report_hash = ?6, latest_report_status = ?7, latest_report_noop = ?8,
		latest_report_noop_pending = ?9, latest_report_corrective_change = ?10, latest_report_job_id = ?11,
		cached_catalog_status = ?12, latest_report_failures = ?13, latest_report_skips = ?14,
		latest_report_intentional_successes = ?15, latest_report_corrective_successes = ?16,
		latest_report_intentional_noops = ?17, latest_report_corrective_noops = ?18 WHERE id = ?1`,
		n.id, id, ms(p.EndTime), ms(p.ProducerTimestamp), environment, p.Hash, p.Status, p.Noop, p.NoopPending,
		p.CorrectiveChange, p.JobID, p.CachedCatalogStatus,
		counts.failures, counts.skips, counts.successes[0], counts.successes[1], counts.noops[0], counts.noops[1])
}

// eventCounts counts events by status; successes and noops [0] are
// intentional, [1] corrective.
type eventCounts struct {
	failures, skips  int
	successes, noops [2]int
}

func (c *eventCounts) add(e *wireformat.Event) {
	corrective := 0
	if e.CorrectiveChange != nil && *e.CorrectiveChange {
		corrective = 1
	}
	switch e.Status {
	case "failure":
		c.failures++
	case "skipped":
		c.skips++
	case "success":
		c.successes[corrective]++
	case "noop":
		c.noops[corrective]++
	}
}

func (a *applier) insertReport(node int64, p *wireformat.Report, environment any) (int64, error) {
	producer, err := a.producer(p.Producer)
	if err != nil {
		return 0, err
	}
	result, err := a.execResult(`INSERT INTO report (hash, node_id, type, status, environment_id, producer_id, noop, noop_pending,
		corrective_change, report_format, puppet_version, configuration_version, start_time, end_time, producer_timestamp,
		receive_time, transaction_uuid, catalog_uuid, code_id, job_id, cached_catalog_status)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)`,
		p.Hash, node, p.Type, p.Status, environment, producer, p.Noop, p.NoopPending, p.CorrectiveChange, p.ReportFormat,
		p.PuppetVersion, p.ConfigurationVersion, ms(p.StartTime), ms(p.EndTime), ms(p.ProducerTimestamp), ms(a.received),
		p.TransactionUUID, p.CatalogUUID, p.CodeID, p.JobID, p.CachedCatalogStatus)
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return 0, err
	}
	return id, a.exec("INSERT INTO report_body (report_id, metrics, logs, resources) VALUES (?1, ?2, ?3, ?4)",
		id, dialect.Pack(p.Metrics), dialect.Pack(p.Logs), dialect.Pack(p.Resources))
}

// insertEvents stores the events that are not older than resource-events-ttl,
// and counts them.
func (a *applier) insertEvents(report int64, events []wireformat.Event) (counts eventCounts, err error) {
	oldest := a.now.Add(-a.store.cfg.ResourceEventsTTL)
	for i := range events {
		e := &events[i]
		if a.store.cfg.ResourceEventsTTL <= 0 || e.Timestamp.Before(oldest.Truncate(time.Millisecond)) {
			continue
		}
		ref, err := a.ref(e.ResourceType, e.ResourceTitle)
		if err != nil {
			return counts, err
		}
		file, err := a.file(e.File)
		if err != nil {
			return counts, err
		}
		var path any
		if e.ContainmentPath != nil {
			path = jsonStrings(e.ContainmentPath)
		}
		if err := a.exec(`INSERT INTO event (report_id, seq, ref_id, status, timestamp, property, name, old_value, new_value, message,
			file_id, line, containment_path, containing_class, corrective_change)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)`,
			report, i, ref, e.Status, ms(e.Timestamp), e.Property, e.Name, text(e.OldValue), text(e.NewValue), e.Message,
			file, e.Line, path, e.ContainingClass, e.CorrectiveChange); err != nil {
			return counts, err
		}
		counts.add(e)
	}
	return counts, nil
}
