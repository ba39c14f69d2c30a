-- Who may command the orchestrator (orchestrator/rbac), and groups of nodes
-- (orchestrator/classifier). Times and JSON as in 0001.

CREATE TABLE rbac_user (
  id           TEXT PRIMARY KEY, -- UUID
  login        TEXT NOT NULL,
  login_key    TEXT NOT NULL UNIQUE, -- in lower case
  email        TEXT NOT NULL DEFAULT '',
  display_name TEXT NOT NULL DEFAULT '',
  password     TEXT NOT NULL DEFAULT '', -- argon2id; '': none lets in
  superuser    INTEGER NOT NULL DEFAULT 0 CHECK (superuser IN (0, 1)),
  revoked      INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1)),
  created      INTEGER NOT NULL,
  last_login   INTEGER
) STRICT;

CREATE TABLE rbac_role (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE rbac_permission (
  role_id     INTEGER NOT NULL REFERENCES rbac_role (id),
  seq         INTEGER NOT NULL, -- the order in which they were given
  object_type TEXT NOT NULL,
  action      TEXT NOT NULL,
  instance    TEXT NOT NULL,
  PRIMARY KEY (role_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE rbac_member (
  user_id TEXT NOT NULL REFERENCES rbac_user (id),
  role_id INTEGER NOT NULL REFERENCES rbac_role (id),
  PRIMARY KEY (user_id, role_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rbac_member_role ON rbac_member (role_id);

CREATE TABLE rbac_token (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  hash        BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256; the token itself is nowhere
  user_id     TEXT NOT NULL REFERENCES rbac_user (id),
  description TEXT NOT NULL,
  client      TEXT NOT NULL,
  label       TEXT NOT NULL,
  created     INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  last_active INTEGER NOT NULL,
  revoked     INTEGER -- NULL: it is not
) STRICT;
CREATE INDEX rbac_token_user    ON rbac_token (user_id);
CREATE INDEX rbac_token_expires ON rbac_token (expires);
CREATE INDEX rbac_token_revoked ON rbac_token (revoked) WHERE revoked IS NOT NULL;

INSERT INTO rbac_user (id, login, login_key, display_name, superuser, created) VALUES
  ('af94921f-bd76-4b58-b5ce-e17c029a2790', 'api_user', 'api_user', 'API user', 1, 0),
  ('42bf351c-f9ec-40af-84ad-e976fec7f4bd', 'admin', 'admin', 'Administrator', 1, 0);
INSERT INTO rbac_role (id, name, description) VALUES
  (1, 'Administrators', 'May do everything.'),
  (2, 'Operators', 'May run Puppet, tasks and plans on all nodes.'),
  (3, 'Viewers', 'May see nodes and groups.');
INSERT INTO rbac_permission (role_id, seq, object_type, action, instance) VALUES
  (1, 0, '*', '*', '*'),
  (2, 0, 'orchestrator', 'view', '*'),
  (2, 1, 'puppet_agent', 'run', '*'),
  (2, 2, 'tasks', 'run', '*'),
  (2, 3, 'plans', 'run', '*'),
  (2, 4, 'nodes', 'view_data', '*'),
  (2, 5, 'node_groups', 'view', '*'),
  (3, 0, 'nodes', 'view_data', '*'),
  (3, 1, 'node_groups', 'view', '*');
INSERT INTO rbac_member (user_id, role_id) VALUES
  ('af94921f-bd76-4b58-b5ce-e17c029a2790', 1),
  ('42bf351c-f9ec-40af-84ad-e976fec7f4bd', 1);

CREATE TABLE node_group (
  id                 TEXT PRIMARY KEY, -- UUID
  name               TEXT NOT NULL,
  description        TEXT NOT NULL,
  environment        TEXT NOT NULL,
  environment_trumps INTEGER NOT NULL CHECK (environment_trumps IN (0, 1)),
  parent             TEXT NOT NULL REFERENCES node_group (id), -- the root group is its own
  rule               TEXT,          -- JSON array, or NULL
  classes            TEXT NOT NULL, -- JSON object
  variables          TEXT NOT NULL, -- JSON object
  config_data        TEXT NOT NULL, -- JSON object
  last_edited        INTEGER NOT NULL,
  serial_number      INTEGER NOT NULL,
  UNIQUE (name, environment)
) STRICT;

INSERT INTO node_group VALUES ('00000000-0000-4000-8000-000000000000', 'All Nodes', '', 'production', 0,
  '00000000-0000-4000-8000-000000000000', '["and",["~","name",".*"]]', '{}', '{}', '{}', 0, 1);
