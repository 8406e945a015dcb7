//! The Node addon: the only module that names napi.
//!
//! [`engine::RealtimeEngine`] is the class JavaScript holds. Its work happens on a control thread
//! (`control.rs`) that owns the tokio runtime, because a runtime may be dropped neither on the JavaScript
//! thread (it blocks) nor inside one of its own tasks (it panics). JavaScript is called through
//! [`js_host::JsHost`] (decisions), [`rooms::JsHandlers`] (room types of its own) and [`log_pump::LogPump`] (log
//! lines); nothing else calls it.
//!
//! No state is static: every environment (main thread, worker threads) and every engine stands alone. The one
//! exception is the `log` facade's single logger, which fans out to the pumps of the engines alive.

#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "napi's macros fix how arguments are passed"
)]

pub mod control;
pub mod copies;
pub mod engine;
pub mod events;
pub mod js_host;
pub mod log_pump;
pub mod maintenance;
pub mod options;
pub mod promise;
pub mod rooms;
pub mod settings;
pub mod tools;
