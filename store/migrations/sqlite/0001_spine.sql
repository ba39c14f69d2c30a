-- Times are INTEGER milliseconds since the epoch, UTC. Booleans are 0/1.
-- JSON columns hold canonical text (wireformat.JSON) unless they say packed.
-- "packed" columns hold either such text (TEXT) or the same compressed (BLOB);
-- the SQL function pdb_unpack(x) gives the text of both.

-- Dictionaries. Rows are shared by all nodes; garbage collection removes the unused.

CREATE TABLE environment (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE producer    (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- The identity of a resource, wherever one is named: catalogs, edges, events.
CREATE TABLE resource_ref (
  id    INTEGER PRIMARY KEY,
  type  TEXT NOT NULL,
  title TEXT NOT NULL,
  UNIQUE (type, title)
) STRICT;
CREATE INDEX resource_ref_title ON resource_ref (title);

-- Everything about a resource that does not depend on the node.
CREATE TABLE resource_body (
  id         INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE,  -- SHA-1 of [type, title, parameters]
  parameters TEXT                   -- JSON object, or NULL
) STRICT;
CREATE TABLE resource_tags (id INTEGER PRIMARY KEY, tags TEXT NOT NULL UNIQUE) STRICT; -- JSON array, sorted
CREATE TABLE source_file   (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- One row per node, with copies of what the nodes entity shows, so that it needs no joins.
CREATE TABLE node (
  id                        INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: see purged_node
  certname                  TEXT NOT NULL UNIQUE,
  deactivated               INTEGER,
  expired                   INTEGER,
  expires_facts             INTEGER CHECK (expires_facts IN (0, 1)), -- NULL: never configured
  expires_facts_updated     INTEGER,
  facts_timestamp           INTEGER,
  facts_producer_timestamp  INTEGER,
  facts_environment_id      INTEGER REFERENCES environment (id),
  catalog_timestamp         INTEGER,
  catalog_producer_timestamp INTEGER,
  catalog_environment_id    INTEGER REFERENCES environment (id),
  inputs_timestamp          INTEGER, -- the inputs' producer timestamp
  inputs_uuid               TEXT,
  inputs_hash               TEXT,
  -- the latest report of an agent, by producer timestamp
  latest_report_id          INTEGER,
  report_timestamp          INTEGER, -- its end time
  report_producer_timestamp INTEGER,
  report_environment_id     INTEGER REFERENCES environment (id),
  latest_report_hash        TEXT,
  latest_report_status      TEXT,
  latest_report_noop        INTEGER,
  latest_report_noop_pending INTEGER,
  latest_report_corrective_change INTEGER,
  latest_report_job_id      TEXT,
  cached_catalog_status     TEXT
) STRICT;
CREATE INDEX node_active      ON node (certname) WHERE deactivated IS NULL AND expired IS NULL;
CREATE INDEX node_dead        ON node (certname) WHERE deactivated IS NOT NULL OR expired IS NOT NULL;
CREATE INDEX node_report      ON node (latest_report_id);
CREATE INDEX node_report_time ON node (report_timestamp);

-- Nodes whose row is gone and whose data, which nobody can see any more, is
-- being deleted in small steps.
CREATE TABLE purged_node (id INTEGER PRIMARY KEY) STRICT;

-- Facts.

CREATE TABLE factset (
  node_id            INTEGER PRIMARY KEY REFERENCES node (id),
  environment_id     INTEGER REFERENCES environment (id),
  producer_id        INTEGER REFERENCES producer (id),
  timestamp          INTEGER NOT NULL, -- received
  producer_timestamp INTEGER NOT NULL,
  hash               TEXT NOT NULL,
  packages_hash      TEXT NOT NULL, -- of the node's packages; '' for none
  sums               BLOB NOT NULL  -- of the facts, 8 bytes each: see factsums.go
) STRICT;
CREATE INDEX factset_hash ON factset (hash);

CREATE TABLE fact_name (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- Top-level facts, structured values whole.
CREATE TABLE fact (
  node_id INTEGER NOT NULL REFERENCES node (id),
  name_id INTEGER NOT NULL REFERENCES fact_name (id),
  value   TEXT NOT NULL, -- JSON
  PRIMARY KEY (node_id, name_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_by_name ON fact (name_id, node_id);

-- The dictionary of leaf paths: one row per path and type of leaf. Empty
-- objects and arrays have none.
CREATE TABLE fact_path (
  id      INTEGER PRIMARY KEY,
  encoded TEXT NOT NULL,    -- a#~b#~0, spec commands.md §6.3
  type    INTEGER NOT NULL CHECK (type BETWEEN 0 AND 4), -- 0 string 1 integer 2 float 3 boolean 4 null
  name_id INTEGER NOT NULL REFERENCES fact_name (id),
  depth   INTEGER NOT NULL, -- 0 for a top-level scalar
  path    TEXT NOT NULL,    -- JSON array of strings (keys) and integers (indexes)
  UNIQUE (encoded, type)
) STRICT;
CREATE INDEX fact_path_name ON fact_path (name_id);

CREATE TABLE fact_leaf (
  node_id INTEGER NOT NULL REFERENCES node (id),
  path_id INTEGER NOT NULL REFERENCES fact_path (id),
  value   TEXT NOT NULL, -- JSON scalar
  num     REAL,          -- of integers and floats, for ranges; the exact value is in value
  PRIMARY KEY (node_id, path_id)
) STRICT, WITHOUT ROWID;
-- A prefix keeps keys and certificates out of the index: compare both, the prefix and the value.
CREATE INDEX fact_leaf_value ON fact_leaf (path_id, substr(value, 1, 40), node_id);
CREATE INDEX fact_leaf_num   ON fact_leaf (path_id, num, node_id) WHERE num IS NOT NULL;

CREATE TABLE package (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL,
  version  TEXT NOT NULL,
  provider TEXT NOT NULL,
  UNIQUE (name, version, provider)
) STRICT;
CREATE TABLE node_package (
  node_id    INTEGER NOT NULL REFERENCES node (id),
  package_id INTEGER NOT NULL REFERENCES package (id),
  PRIMARY KEY (node_id, package_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX node_package_package ON node_package (package_id, node_id);

-- Catalogs.

CREATE TABLE catalog (
  node_id            INTEGER PRIMARY KEY REFERENCES node (id),
  hash               TEXT NOT NULL,
  version            TEXT NOT NULL,
  transaction_uuid   TEXT,
  catalog_uuid       TEXT,
  code_id            TEXT,
  job_id             TEXT,
  environment_id     INTEGER REFERENCES environment (id),
  producer_id        INTEGER REFERENCES producer (id),
  producer_timestamp INTEGER NOT NULL,
  timestamp          INTEGER NOT NULL -- received
) STRICT;
CREATE INDEX catalog_hash        ON catalog (hash);
CREATE INDEX catalog_transaction ON catalog (transaction_uuid);

CREATE TABLE resource (
  node_id  INTEGER NOT NULL REFERENCES node (id),
  ref_id   INTEGER NOT NULL REFERENCES resource_ref (id),
  body_id  INTEGER NOT NULL REFERENCES resource_body (id),
  tags_id  INTEGER NOT NULL REFERENCES resource_tags (id),
  exported INTEGER NOT NULL CHECK (exported IN (0, 1)),
  file_id  INTEGER REFERENCES source_file (id),
  line     INTEGER,
  PRIMARY KEY (node_id, ref_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX resource_by_ref   ON resource (ref_id, node_id);
CREATE INDEX resource_exported ON resource (ref_id, node_id) WHERE exported = 1;
CREATE INDEX resource_body_use ON resource (body_id);

CREATE TABLE edge (
  node_id      INTEGER NOT NULL REFERENCES node (id),
  source_id    INTEGER NOT NULL REFERENCES resource_ref (id),
  target_id    INTEGER NOT NULL REFERENCES resource_ref (id),
  relationship INTEGER NOT NULL CHECK (relationship BETWEEN 1 AND 5), -- wireformat.Relationship
  PRIMARY KEY (node_id, source_id, target_id, relationship)
) STRICT, WITHOUT ROWID;

CREATE TABLE catalog_input (
  node_id INTEGER NOT NULL REFERENCES node (id),
  type    TEXT NOT NULL,
  name    TEXT NOT NULL,
  PRIMARY KEY (node_id, type, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX catalog_input_name ON catalog_input (type, name, node_id);

-- Reports. The latest report of a node is the one that node.latest_report_id names.

CREATE TABLE report (
  id                    INTEGER PRIMARY KEY,
  hash                  TEXT NOT NULL UNIQUE,
  node_id               INTEGER NOT NULL REFERENCES node (id),
  type                  TEXT NOT NULL CHECK (type IN ('agent', 'plan')),
  status                TEXT,
  environment_id        INTEGER REFERENCES environment (id),
  producer_id           INTEGER REFERENCES producer (id),
  noop                  INTEGER,
  noop_pending          INTEGER,
  corrective_change     INTEGER,
  report_format         INTEGER NOT NULL,
  puppet_version        TEXT NOT NULL,
  configuration_version TEXT NOT NULL,
  start_time            INTEGER NOT NULL,
  end_time              INTEGER NOT NULL,
  producer_timestamp    INTEGER NOT NULL,
  receive_time          INTEGER NOT NULL,
  transaction_uuid      TEXT,
  catalog_uuid          TEXT,
  code_id               TEXT,
  job_id                TEXT,
  cached_catalog_status TEXT
) STRICT;
CREATE INDEX report_node_end    ON report (node_id, end_time);
CREATE INDEX report_node_time   ON report (node_id, producer_timestamp);
CREATE INDEX report_time_status ON report (producer_timestamp, status);
CREATE INDEX report_end         ON report (end_time);
CREATE INDEX report_receive     ON report (receive_time);
CREATE INDEX report_transaction ON report (transaction_uuid);
CREATE INDEX report_job         ON report (job_id) WHERE job_id IS NOT NULL;

-- Kept apart so that report rows stay narrow.
CREATE TABLE report_body (
  report_id INTEGER PRIMARY KEY REFERENCES report (id),
  metrics   ANY, -- packed JSON array, or NULL
  logs      ANY, -- packed JSON array, or NULL
  resources ANY  -- packed JSON array as sent, or NULL
) STRICT;

CREATE TABLE event (
  report_id         INTEGER NOT NULL REFERENCES report (id),
  seq               INTEGER NOT NULL, -- position in the report
  ref_id            INTEGER NOT NULL REFERENCES resource_ref (id),
  status            TEXT NOT NULL,
  timestamp         INTEGER NOT NULL,
  property          TEXT,
  name              TEXT,
  old_value         TEXT, -- JSON
  new_value         TEXT, -- JSON
  message           TEXT,
  file_id           INTEGER REFERENCES source_file (id),
  line              INTEGER,
  containment_path  TEXT, -- JSON array, or NULL
  containing_class  TEXT,
  corrective_change INTEGER,
  PRIMARY KEY (report_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_time  ON event (timestamp);
CREATE INDEX event_ref   ON event (ref_id, timestamp);
CREATE INDEX event_class ON event (containing_class) WHERE containing_class IS NOT NULL;
