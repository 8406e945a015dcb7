//! Who may come in: finding the token in a request, verifying it, and matching rooms.
//!
//! Nothing here does I/O or reads a clock; time is a parameter. No error text holds a token or a secret.

mod claims;
pub mod grant;
pub mod jwt;
mod key;
pub mod sign;
pub mod token;
