-- Tasks. Times and JSON as in 0001.

-- What nodes are asked, and how to reach them: sealed by orchestrator/secret.
-- Deleted in the transaction that ends what it is for.
CREATE TABLE job_secret (
  id       INTEGER PRIMARY KEY,
  job_id   INTEGER NOT NULL REFERENCES job (id),
  certname TEXT NOT NULL, -- '': what all nodes are asked
  sealed   BLOB NOT NULL,
  UNIQUE (job_id, certname)
) STRICT;

-- Who may use one (tasks:run_with_constraints) may run these tasks on these nodes.
CREATE TABLE task_target (
  id           INTEGER PRIMARY KEY AUTOINCREMENT, -- its name; never used again
  display_name TEXT NOT NULL,
  tasks        TEXT NOT NULL, -- JSON array of names
  all_tasks    INTEGER NOT NULL CHECK (all_tasks IN (0, 1)),
  nodes        TEXT NOT NULL, -- JSON array of certnames
  node_groups  TEXT NOT NULL, -- JSON array of ids
  pql          TEXT NOT NULL,
  created      INTEGER NOT NULL
) STRICT;

-- How to reach nodes that have no agent.
CREATE TABLE connection (
  certname   TEXT PRIMARY KEY,
  id         TEXT NOT NULL, -- of the command that made it; it may be of several nodes
  type       TEXT NOT NULL CHECK (type IN ('ssh', 'winrm')),
  parameters TEXT NOT NULL, -- JSON object
  sealed     BLOB NOT NULL, -- the parameters that are secrets: a JSON object, sealed
  created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX connection_id ON connection (id);

-- How many nodes were there, by UTC day.
CREATE TABLE usage_day (
  day           TEXT PRIMARY KEY, -- 2006-01-02
  with_agent    INTEGER NOT NULL CHECK (with_agent >= 0),    -- active nodes when it began
  without_agent INTEGER NOT NULL CHECK (without_agent >= 0)  -- different nodes that something ran on over ssh or winrm
) STRICT, WITHOUT ROWID;
CREATE INDEX job_node_agentless ON job_node (started, certname) WHERE transport IN ('ssh', 'winrm');
