-- Scheduled jobs and their firings (orchestrator/schedule). Times and JSON as in 0001.

CREATE TABLE scheduled_job (
  id          INTEGER PRIMARY KEY AUTOINCREMENT, -- its name; never used again
  type        TEXT NOT NULL CHECK (type IN ('deploy', 'task', 'plan')),
  enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  environment TEXT NOT NULL,
  description TEXT NOT NULL,
  name        TEXT NOT NULL, -- of the task or plan
  input       TEXT NOT NULL, -- JSON object; nothing in it is secret
  sealed      BLOB,          -- sensitive parameters, encrypted
  userdata    TEXT NOT NULL, -- JSON object
  owner       TEXT NOT NULL, -- JSON object
  owner_id    TEXT NOT NULL, -- UUID
  owner_login TEXT NOT NULL,
  start       INTEGER NOT NULL,
  interval    INTEGER CHECK (interval > 0), -- seconds; NULL: once
  next_run    INTEGER, -- NULL: it will not fire
  created     INTEGER NOT NULL,
  changed     INTEGER NOT NULL,
  CHECK (enabled = 1 OR next_run IS NULL)
) STRICT;
CREATE INDEX scheduled_job_next ON scheduled_job (next_run) WHERE next_run IS NOT NULL;

-- One time that a scheduled job came due.
CREATE TABLE scheduled_firing (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  scheduled_job_id INTEGER NOT NULL REFERENCES scheduled_job (id),
  due              INTEGER NOT NULL, -- the instant that was waited for
  instant          INTEGER NOT NULL, -- the last one that had passed
  claimed          INTEGER NOT NULL,
  settled          INTEGER, -- NULL: it is open
  job_id           INTEGER, -- which may be gone
  plan             INTEGER NOT NULL DEFAULT 0 CHECK (plan IN (0, 1)), -- job_id is of a plan job
  error            TEXT,    -- JSON object: why there is no job
  CHECK ((settled IS NOT NULL) = ((job_id IS NULL) <> (error IS NULL)))
) STRICT;
CREATE INDEX scheduled_firing_job ON scheduled_firing (scheduled_job_id, id);
-- A scheduled job has one open firing at most.
CREATE UNIQUE INDEX scheduled_firing_open ON scheduled_firing (scheduled_job_id) WHERE settled IS NULL;
