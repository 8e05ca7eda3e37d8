//! Delta tables, ingest, the SQL session, run state, tracking and the model registry
