//! What operators see: counters and gauges.

pub mod metrics;
pub mod security;
