//! What operators see: counters and gauges, log lines, security events.

pub mod correlation;
pub mod counter;
pub mod events;
mod exposition;
pub mod histogram;
pub mod line;
pub mod metrics;
pub mod patterns;
pub mod performance;
pub mod security;
