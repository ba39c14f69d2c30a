-- Jobs of the orchestrator. Their states and moves are orchestrator/job's.
-- Times and JSON as in 0001.

CREATE TABLE job (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- the job's name; never used again
  type          TEXT NOT NULL CHECK (type IN ('deploy', 'task', 'plan_task', 'plan_script', 'plan_upload', 'plan_command',
                                              'plan_wait', 'plan_apply', 'plan_apply_prep')),
  state         TEXT NOT NULL CHECK (state IN ('new', 'ready', 'running', 'stopping', 'stopped', 'finished', 'failed')),
  environment   TEXT NOT NULL,
  options       TEXT NOT NULL, -- JSON object
  owner         TEXT NOT NULL, -- JSON object
  owner_login   TEXT NOT NULL,
  description   TEXT NOT NULL,
  userdata      TEXT NOT NULL, -- JSON object
  concurrency   INTEGER NOT NULL CHECK (concurrency >= 0), -- 0: no limit
  timeout       INTEGER NOT NULL CHECK (timeout >= 0),     -- milliseconds
  plan_job_id   INTEGER,
  task          TEXT NOT NULL,
  changed       INTEGER NOT NULL, -- the last change of state
  created       INTEGER NOT NULL,
  started       INTEGER,
  finished      INTEGER,
  -- How many nodes are in each state: kept by every move, so that a list of jobs does not count.
  nodes_new      INTEGER NOT NULL CHECK (nodes_new >= 0),
  nodes_ready    INTEGER NOT NULL DEFAULT 0 CHECK (nodes_ready >= 0),
  nodes_running  INTEGER NOT NULL DEFAULT 0 CHECK (nodes_running >= 0),
  nodes_finished INTEGER NOT NULL DEFAULT 0 CHECK (nodes_finished >= 0),
  nodes_failed   INTEGER NOT NULL DEFAULT 0 CHECK (nodes_failed >= 0),
  nodes_errored  INTEGER NOT NULL DEFAULT 0 CHECK (nodes_errored >= 0),
  nodes_skipped  INTEGER NOT NULL DEFAULT 0 CHECK (nodes_skipped >= 0),
  nodes_stopped  INTEGER NOT NULL DEFAULT 0 CHECK (nodes_stopped >= 0),
  CHECK ((finished IS NOT NULL) = (state IN ('stopped', 'finished', 'failed')))
) STRICT;
CREATE INDEX job_open     ON job (id) WHERE finished IS NULL;
CREATE INDEX job_finished ON job (finished) WHERE finished IS NOT NULL;
CREATE INDEX job_changed  ON job (changed);
CREATE INDEX job_plan     ON job (plan_job_id) WHERE plan_job_id IS NOT NULL;

-- How long a job was in which state.
CREATE TABLE job_span (
  job_id  INTEGER NOT NULL REFERENCES job (id),
  seq     INTEGER NOT NULL,
  state   TEXT NOT NULL,
  entered INTEGER NOT NULL,
  exited  INTEGER, -- NULL: it still is
  PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- The run of a node in a job.
CREATE TABLE job_node (
  id               INTEGER PRIMARY KEY,
  job_id           INTEGER NOT NULL REFERENCES job (id),
  position         INTEGER NOT NULL,
  certname         TEXT NOT NULL,
  state            TEXT NOT NULL CHECK (state IN ('new', 'ready', 'running', 'finished', 'failed', 'errored', 'skipped', 'stopped')),
  transport        TEXT NOT NULL,
  transaction_id   TEXT UNIQUE, -- of the request
  fingerprint      TEXT,        -- of the request: SHA-256
  sent             INTEGER,     -- claimed; the request left after it
  started          INTEGER,
  finished         INTEGER,
  changed          INTEGER NOT NULL,
  transaction_uuid TEXT, -- the report's
  report_hash      TEXT,
  latest_event     INTEGER NOT NULL DEFAULT 0,
  message          TEXT NOT NULL DEFAULT '',
  details          TEXT NOT NULL DEFAULT '{}', -- JSON object
  result           TEXT,                       -- JSON
  UNIQUE (job_id, certname),
  UNIQUE (job_id, position),
  CHECK (state NOT IN ('ready', 'running', 'finished', 'failed') OR transaction_id IS NOT NULL AND sent IS NOT NULL),
  CHECK (state NOT IN ('running', 'finished', 'failed') OR started IS NOT NULL),
  CHECK ((finished IS NOT NULL) = (state NOT IN ('new', 'ready', 'running')))
) STRICT;
CREATE INDEX job_node_report ON job_node (transaction_uuid) WHERE transaction_uuid IS NOT NULL;

-- Which node has to finish ahead of which.
CREATE TABLE job_edge (
  job_id   INTEGER NOT NULL REFERENCES job (id),
  certname TEXT NOT NULL,
  needs    TEXT NOT NULL, -- a certname: it has to finish first
  PRIMARY KEY (job_id, certname, needs)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_event (
  id       INTEGER PRIMARY KEY AUTOINCREMENT, -- one counter for the whole server
  job_id   INTEGER NOT NULL REFERENCES job (id),
  type     TEXT NOT NULL CHECK (type IN ('node_running', 'node_finished', 'node_failed', 'node_errored', 'node_skipped',
                                         'job_stopping', 'job_aborted', 'job_finished')),
  certname TEXT, -- NULL: of the job
  at       INTEGER NOT NULL,
  details  TEXT NOT NULL, -- JSON object
  message  TEXT NOT NULL
) STRICT;
CREATE INDEX job_event_job ON job_event (job_id, id);

-- Reports that wait to be joined with a run. Written in the transaction that
-- stores the report, deleted in the one that used it.
CREATE TABLE job_report (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  report_id INTEGER NOT NULL,
  job_id    INTEGER NOT NULL,
  certname  TEXT NOT NULL
) STRICT;

-- Jobs whose row is gone and whose data is being deleted in small steps.
CREATE TABLE pruned_job (id INTEGER PRIMARY KEY) STRICT;

-- The few resources that produce or consume for others: the components of
-- applications. Written once for each new body, never for a known one.
CREATE INDEX resource_body_component ON resource_body (id)
  WHERE instr(parameters, '"export":') > 0 OR instr(parameters, '"consume":') > 0;
