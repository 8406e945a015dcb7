//! What operators see: counters and gauges, log lines, security events.

pub mod correlation;
pub mod events;
pub mod histogram;
pub mod line;
pub mod metrics;
pub mod patterns;
pub mod performance;
pub mod security;
