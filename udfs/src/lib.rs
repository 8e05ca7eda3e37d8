//! Everything SQL can call: predict and its relatives
