-- How many resources a catalog has: counting them anew reads all catalogs.
ALTER TABLE catalog ADD COLUMN resource_count INTEGER NOT NULL DEFAULT 0;
UPDATE catalog SET resource_count = (SELECT count(*) FROM resource WHERE resource.node_id = catalog.node_id);

-- One row, written to find out whether the database can be written to.
CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
INSERT INTO probe (id, at) VALUES (1, 0);
