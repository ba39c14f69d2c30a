-- What happened on a day, beside how many nodes there were.
ALTER TABLE usage_day ADD COLUMN intentional INTEGER NOT NULL DEFAULT 0; -- changes of agent runs: successful events
ALTER TABLE usage_day ADD COLUMN corrective  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_day ADD COLUMN task_nodes  INTEGER NOT NULL DEFAULT 0; -- nodes that tasks began on, once for each task
ALTER TABLE usage_day ADD COLUMN plan_nodes  INTEGER NOT NULL DEFAULT 0; -- nodes that plans began something on, once for each plan
CREATE INDEX job_node_started ON job_node (started, job_id, certname) WHERE started IS NOT NULL;
