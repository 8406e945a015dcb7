//! In work.
pub mod awareness;
