//! Estimators, metrics and hyper-parameter search over Arrow data
