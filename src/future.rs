//! The one boxed future type of the crate's object-safe traits.

use std::{future::Future, pin::Pin};

/// A boxed, sendable future that may borrow for `'a`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
