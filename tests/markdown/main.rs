//! The converter beside the editor's own JavaScript, which makes the expectations while the tests run
//! (`tests/markdown/npm/`, with the packages that `npm install` put there).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests stop at the first thing that is not as expected"
)]

mod known;
mod npm_chain;
mod oracle;
