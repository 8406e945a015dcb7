//! The table of log events. `docs/logging.md` shows it; a test holds it, the document and the code together.

/// One event of the log.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Stable name, the field `event`.
    pub name: &'static str,
    /// `error`, `warn`, `info` or `debug`.
    pub level: &'static str,
    /// Fields beside `event`, in alphabetical order, separated by spaces; what has no value is left out.
    pub fields: &'static str,
    /// When it is logged.
    pub when: &'static str,
}

macro_rules! events {
    ($($name:literal $level:literal [$fields:literal] $when:literal;)*) => {
        &[$(Event { name: $name, level: $level, fields: $fields, when: $when }),*]
    };
}

/// All events, by what they are about.
pub const EVENTS: &[Event] = events! {
    "listening" "info" ["address"] "the port accepts connections";
    "stopped" "info" [""] "a graceful stop is complete";
    "shutdown_phase_left" "warn" ["phase"] "a phase of the stop took too long and was left";
    "stop_timeout" "warn" [""] "the whole stop took too long; what is committed is safe";
    "stop_requested" "info" ["signal"] "command line: the first SIGTERM or SIGINT";
    "stop_forced" "warn" ["signal"] "command line: the second one";
    "stop_failed" "error" ["error"] "command line: the stop failed";
    "config_warning" "warn" [""] "something in the configuration looks wrong";
    "limit_lowered" "warn" ["count"] "limits.max_connections does not fit the process's file descriptors";
    "unencrypted" "warn" [""] "a production takes tokens and texts over the open network without encryption";
    "tls_reloaded" "info" [""] "changed files of the certificate were read; new connections get it";
    "tls_reload_failed" "error" ["error"] "they cannot be used; the certificate before stays";
    "performance" "info" ["commit_mean_ms connections deliveries_per_second messages_per_second resident_bytes rooms store_queued"] "each minute with traffic";
    "operation_failed" "info" ["code context correlation_id error"] "a method of RealtimeServer rejected; the error has the same correlation id";

    "auth_accepted" "debug" ["address can_edit connection correlation_id room user"] "the host let a user into a room";
    "auth_refused" "info" ["address code connection correlation_id error room user"] "no token, a wrong one, no permission, or the host could not say";
    "token_in_url" "warn" ["address connection correlation_id"] "a token came in a URL, where other logs see it";
    "client_connected" "info" ["address can_edit connection correlation_id room user"] "a session begins";
    "client_disconnected" "info" ["code connection correlation_id duration_ms room user"] "a session ended; code says why, CLIENT_LEFT: by itself";
    "session_ended" "info" ["code connection correlation_id room user"] "a look at a live session's rights ended it";
    "rights_changed" "info" ["connection correlation_id room user"] "a live session may edit from now on, or only read";
    "sessions_revoked" "info" ["count user"] "the host ended all sessions of a user";
    "recheck_failed" "warn" ["code connection correlation_id room user"] "the host did not say whether a live session may stay";
    "client_refused" "info" ["code connection correlation_id room"] "a connection got no session";
    "request_refused" "debug" ["address code correlation_id"] "a request was refused before the upgrade";
    "handshake_failed" "debug" ["address code correlation_id error"] "a TLS handshake failed, did not end in time, or came to a port without TLS";
    "join_timeout" "warn" ["address connection correlation_id room"] "a room was not loaded in time for who waited";
    "accept_failed" "warn" ["error"] "the system gives no further connections at the moment";
    "frame_refused" "warn" ["code connection correlation_id room user"] "a message is not understood or hostile";
    "event_refused" "debug" ["code connection correlation_id"] "a message on a connection for events was refused; the client is told";
    "read_only_edit" "info" ["connection correlation_id room user"] "the first edit of a read-only session was refused";
    "edit_too_large" "warn" ["code connection correlation_id room"] "an edit would make its document larger than it may be";
    "throttled" "info" ["address class connection correlation_id room user"] "a client sends faster than it may and is read from more slowly; once per connection";
    "rate_limited" "warn" ["address connection correlation_id count room step user"] "it goes on: step notice is a warning, close the end";
    "too_many_held" "warn" ["connection correlation_id room"] "a sender's updates build on too much that is missing";
    "security_violation" "warn" ["address correlation_id count kind left_out suspicious user"] "the first, tenth, hundredth … event of a kind and address within a minute";

    "room_created" "info" ["room"] "a room is opened";
    "room_destroyed" "info" ["room"] "a room left memory";
    "room_moderated" "info" ["correlation_id count room step user"] "an admin, or the host if no user is named, did step (kick, lock, unlock, notice); count sessions heard of it";
    "room_seeded" "info" ["room source"] "a record's first opening: its text became the document";
    "seed_gave_way" "warn" ["connection correlation_id room"] "a client still had the history that a damaged database lost; the seed made since went into it";
    "room_load_failed" "error" ["error room"] "a room refuses its joiners";
    "room_failed" "error" ["room seq"] "a room met a fault, was dropped, and is rebuilt from its log; `seq` is the row of the last update it took";
    "update_quarantined" "error" ["bytes code correlation_id room user"] "an update broke a document, or a stored one no longer loads; a copy is kept for study";
    "quarantine_failed" "warn" ["error room"] "that copy could not be kept";
    "held_update_dropped" "warn" ["code room"] "an update that waited for others turned out wrong, or would make its document too large";
    "panic" "error" ["file line thread"] "a panic on one of our threads";
    "source_unreadable" "warn" ["error room"] "a record's source cannot be read; the room opens from its log";
    "update_not_logged" "error" ["error room"] "an edit could not be given to the log; it is not acknowledged";

    "snapshot_saved" "info" ["bytes room version"] "a snapshot replaced log rows";
    "snapshot_loaded" "debug" ["bytes room"] "a room starts from a snapshot";
    "snapshot_failed" "warn" ["error room"] "no snapshot now; the log is kept";
    "snapshot_unsound" "error" ["room"] "a snapshot did not load back and was not stored; the log is kept";
    "copies_expired" "info" ["count"] "old copies were deleted";
    "copies_not_expired" "warn" ["error"] "old copies could not be deleted";
    "copy_failed" "warn" ["error room"] "the copy for the operator was not stored; it is tried again";
    "copy_unreadable" "warn" ["error room"] "the host could not say whether its copy of a room is sound";
    "copy_damaged" "error" ["error room"] "the host's newest copy of a room is damaged; the record's text took its place";

    "written_back" "info" ["room source"] "a record's source holds the document";
    "write_back_failed" "warn" ["error room stage"] "it does not yet; it is tried again";
    "record_gone" "warn" ["room"] "the record was removed; nothing is written back";
    "outside_change_merged" "info" ["room source"] "a change of the source reached the open document";
    "outside_change_refused" "error" ["code room source"] "a change of the source could not be taken over";
    "record_lossy" "warn" ["count room source"] "the source holds count things that the editor would lose, so that nobody edits; 0: no more";
    "record_conflict" "warn" ["room source"] "the same block was changed outside and here; theirs is kept aside";
    "version_not_kept" "error" ["error room"] "the text that lost could not be kept";
    "base_not_stored" "warn" ["error room"] "the base of the next merge was not stored";

    "store_degraded" "error" ["error"] "commits fail; no acknowledgements until they work";
    "store_healed" "info" [""] "commits work again";
    "store_close_failed" "error" ["error"] "the store was not closed cleanly";
    "storage_full" "error" ["bytes room"] "so much of a room waits for the disk that it takes no more edits";
    "storage_recovered" "info" ["room"] "it takes edits again and asks for what it refused";
    "edits_missing" "error" ["error room"] "the database lacks acknowledged edits; it was copied as it was found";
    "database_restored" "warn" [""] "a backup took the database's place";
    "database_set_aside" "error" ["error"] "the database is damaged; it was moved, and a new one made";

    "host_api_failed" "debug" ["error"] "microservice: a call to the CivicPress API brought no answer";
    "host_api_down" "warn" ["error"] "microservice: too many did in a row; the API is left alone for a while";
    "host_api_up" "info" [""] "microservice: it answers again";

    "handler_failed" "warn" ["correlation_id error room stage"] "the handler of a room type threw, or refused a connection; stage says where";
    "hooks_dropped" "warn" ["count"] "the JavaScript thread does not keep up with hooks";
    "log_dropped" "warn" ["count"] "the JavaScript thread does not keep up with log lines";
};
