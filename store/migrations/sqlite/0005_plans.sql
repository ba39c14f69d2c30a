-- Runs of plans. Their states are orchestrator/job's. Times and JSON as in 0001.

CREATE TABLE plan_job (
  id          INTEGER PRIMARY KEY AUTOINCREMENT, -- its name; never used again
  state       TEXT NOT NULL CHECK (state IN ('pending', 'running', 'success', 'failure')),
  plan        TEXT NOT NULL,
  environment TEXT NOT NULL,
  external    INTEGER NOT NULL CHECK (external IN (0, 1)),
  options     TEXT NOT NULL, -- JSON object
  owner       TEXT NOT NULL, -- JSON object
  owner_login TEXT NOT NULL,
  userdata    TEXT NOT NULL, -- JSON object
  result      TEXT,          -- JSON
  changed     INTEGER NOT NULL, -- the last change of state
  created     INTEGER NOT NULL,
  started     INTEGER,
  finished    INTEGER,
  CHECK ((finished IS NOT NULL) = (state IN ('success', 'failure'))),
  CHECK ((result IS NOT NULL) = (finished IS NOT NULL)),
  CHECK (state <> 'running' OR started IS NOT NULL)
) STRICT;
CREATE INDEX plan_job_open     ON plan_job (id) WHERE finished IS NULL;
CREATE INDEX plan_job_finished ON plan_job (finished) WHERE finished IS NOT NULL;

CREATE TABLE plan_event (
  id          INTEGER PRIMARY KEY AUTOINCREMENT, -- one counter for all plan jobs
  plan_job_id INTEGER NOT NULL, -- of a plan job, or of one whose events are still to be deleted
  type        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  details     TEXT NOT NULL, -- JSON object
  message     TEXT NOT NULL
) STRICT;
CREATE INDEX plan_event_plan_job ON plan_event (plan_job_id, id);

-- Plan jobs whose row is gone and whose events are being deleted in small steps.
CREATE TABLE pruned_plan_job (id INTEGER PRIMARY KEY) STRICT;
