-- The events of a node's latest report by status, as event counts tell them: counting them anew reads the latest events of the fleet.
ALTER TABLE node ADD COLUMN latest_report_failures              INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN latest_report_skips                 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN latest_report_intentional_successes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN latest_report_corrective_successes  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN latest_report_intentional_noops     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN latest_report_corrective_noops      INTEGER NOT NULL DEFAULT 0;
UPDATE node SET (latest_report_failures, latest_report_skips, latest_report_intentional_successes, latest_report_corrective_successes,
  latest_report_intentional_noops, latest_report_corrective_noops) = (
    SELECT count(*) FILTER (WHERE status = 'failure'), count(*) FILTER (WHERE status = 'skipped'),
      count(*) FILTER (WHERE status = 'success' AND corrective_change IS NOT 1), count(*) FILTER (WHERE status = 'success' AND corrective_change IS 1),
      count(*) FILTER (WHERE status = 'noop' AND corrective_change IS NOT 1), count(*) FILTER (WHERE status = 'noop' AND corrective_change IS 1)
    FROM event WHERE report_id = latest_report_id)
  WHERE latest_report_id IS NOT NULL;
