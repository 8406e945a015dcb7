//! What SQLite's errors mean: whose fault they are, and what an operator reads.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

/// Whether one statement's data is at fault, so that the rest of the transaction can still be committed.
/// Everything else (disk, permissions, locks, damage) concerns the whole transaction.
pub(super) fn is_of_one_statement(error: &Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(
                code,
                ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch
            )
        }
        // Not from SQLite at all: a value that could not be read as its type.
        None => true,
    }
}

/// Whether the file is not a sound database.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether stored values, not the disk, are at fault.
pub(super) fn is_of_stored_data(error: &Error) -> bool {
    is_damage(error) || error.sqlite_error_code().is_none()
}

/// The error with the file's name and the remedy.
pub(super) fn told(path: &Path, error: &Error) -> StoreError {
    let remedy = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free some space",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it may not be written; check the permissions of the file and its folder"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check that its folder exists and may be written"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has locked it; close that program"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged; stop the engine and restore it or move it aside"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk failed; check the system's log",
        _ => "unexpected answer of the database",
    };
    StoreError::Io(format!("{}: {remedy} ({error})", path.display()))
}
