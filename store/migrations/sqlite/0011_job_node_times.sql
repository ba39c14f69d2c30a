-- Nodes by when they ended: what is sorted is read from the index, not from
-- rows, which are wide.
DROP INDEX job_node_state;
CREATE INDEX job_node_state ON job_node (job_id, state, position, started, finished);
