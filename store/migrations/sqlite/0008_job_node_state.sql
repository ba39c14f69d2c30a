-- Nodes of a job by state: lists of those that failed, or still run, read no others.
CREATE INDEX job_node_state ON job_node (job_id, state, position);
