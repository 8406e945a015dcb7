//! Every bound of the engine in one table.
//!
//! What an operator may change stands in [`crate::config::Config`]; what stands here is fixed. Each queue,
//! buffer and wait of the engine names its bound from one of the two.

use std::time::Duration;

/// Longest room id, in bytes after percent-decoding.
pub const ROOM_ID_BYTES_MAX: usize = 256;
/// Longest token read from a request, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Time from accept to a complete HTTP head.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest HTTP head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of one request.
pub const HEADERS_MAX: usize = 64;
/// Connections that nobody is authenticated on yet.
pub const HANDSHAKES_MAX: usize = 1024;
/// Of these, connections of one address (IPv6: of one /64), if `rate_limiting.connections_per_ip` allows as
/// many: one address alone never locks the others out.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = HANDSHAKES_MAX / 2;
/// A connection that has not asked for anything in so long gives its place to a newcomer who finds none.
pub const HANDSHAKE_GRACE: Duration = Duration::from_secs(1);
/// Connections that speak plain HTTP, which have no session; half of them for one address as above.
pub const HTTP_CONNECTIONS_MAX: usize = 1024;
/// Longest `X-Forwarded-For` or `Forwarded` that is followed, in hops.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// Bytes TLS holds encrypted for one peer until the kernel takes them.
pub const TLS_BUFFER_BYTES: usize = 64 * 1024;
/// Largest certificate or key file, in bytes.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Time between two looks whether the certificate's files changed.
pub const TLS_FILES_POLL: Duration = Duration::from_secs(2);
/// Length of the kernel's accept queue.
pub const LISTEN_BACKLOG: u32 = 4096;

/// Longest wait of an authenticated connection for its room, loading included. Before it the host has
/// `auth.timeout_ms` to authenticate and as much to authorize.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest name of an event, a room of events, or a key, in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 255;
/// Longest id a client may give a message, as JSON text, in bytes.
pub const EVENT_ACK_BYTES_MAX: usize = 64;
/// Nesting of an event's JSON.
pub const EVENT_DEPTH_MAX: usize = 64;
/// Tasks that rooms of events are shared out to.
pub const EVENT_LANES: usize = 8;
/// Commands waiting for one of them; over it clients wait, and the host is refused.
pub const EVENT_COMMANDS_MAX: usize = 16 * 1024;
/// Bytes of events that wait for these tasks, in all.
pub const EVENT_COMMANDS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Commands one of them takes at once.
pub const EVENT_BATCH_MAX: usize = 256;
/// Deliveries one of them makes before others on its thread get their turn.
pub const EVENT_DELIVERIES_PER_TURN_MAX: usize = 4096;
/// Bytes of events kept for those who come back, in all.
pub const EVENT_HISTORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Keys kept of a room whose events are not, against repetitions.
pub const EVENT_KEYS_MAX: usize = 256;
/// What an event that is kept, and a room, count beside their text.
pub const EVENT_OVERHEAD_BYTES: usize = 160;
/// Rooms looked at for each that gives its place to another; beyond it the next look is a while off.
pub const EVENT_SPARE_LOOKS_MAX: usize = 64;
/// That while.
pub const EVENT_SPARE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a client whose token has expired may stay to bring a new one.
pub const EVENT_EXPIRY_GRACE: Duration = Duration::from_secs(25);
/// A stopping engine ends its connections for events over so long for each connection there is.
pub const EVENT_FAREWELL: Duration = Duration::from_millis(1);
/// And over no longer than this.
pub const EVENT_FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Largest event of the server, in bytes.
pub const EVENT_HOST_BYTES_MAX: usize = 1024 * 1024;
/// Connections for events that an operator is shown at once.
pub const EVENTS_LISTED_MAX: usize = 1000;
/// Time between two events of how the engine goes.
pub const VITALS_INTERVAL: Duration = Duration::from_secs(1);
/// Clients of a load test.
pub const STRESS_CONNECTIONS_MAX: usize = 1000;
/// Messages per second of all of them.
pub const STRESS_MESSAGES_PER_SECOND_MAX: u64 = 10_000;
/// Longest load test, in seconds.
pub const STRESS_SECONDS_MAX: f64 = 300.0;
/// Largest data of its messages, in bytes.
pub const STRESS_PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// Longest wait for one of its clients to come in, and for what is under way at its end.
pub const STRESS_STEP: Duration = Duration::from_secs(10);
/// Silence after which nothing more is expected.
pub const STRESS_SETTLE: Duration = Duration::from_millis(500);
/// Documents of one change that are told one by one; of more only the ids are.
pub const EVENT_BULK_MAX: usize = 100;
/// Largest answer of which many may wait for a client; before it may ask again it takes each that is larger, in bytes.
pub const EVENT_REPLY_BYTES_MAX: usize = 16 * 1024;
/// A room with more members tells nobody who comes and goes.
pub const EVENT_PRESENCE_MAX: usize = 1000;

/// Longest JSON message of a client that is no update, in bytes.
pub const CONTROL_BYTES_MAX: usize = 64 * 1024;
/// Inbound messages handled in one wake of a connection.
pub const MESSAGES_PER_WAKE_MAX: usize = 32;
/// Bytes read from a socket in one wake of its connection.
pub const READ_BYTES_PER_WAKE_MAX: usize = 256 * 1024;
/// Pongs and JSON answers a peer may leave unread before it is not read from either.
pub const UNREAD_REPLIES_MAX: usize = 64;
/// Messages of one connection that the handler of its room is not done with; over it nothing more is read.
pub const HANDLER_MESSAGES_MAX: usize = 64;
/// Bytes of these messages, but for one larger message.
pub const HANDLER_BYTES_MAX: usize = 1024 * 1024;
/// A handler that is done with none of so many messages for so long has failed its connection.
pub const HANDLER_STALL: Duration = Duration::from_mins(1);
/// How much of a rate may come at once: so many seconds' worth (`rate_limiting.burst` overrides it for messages).
pub const RATE_WINDOW: Duration = Duration::from_mins(1);
/// Least time an empty bucket refills before its connection is read from again.
pub const RATE_REFILL_MIN: Duration = Duration::from_millis(100);
/// A client that stays ahead of its message rate for so long is warned.
pub const RATE_NOTICE_AFTER: Duration = Duration::from_secs(2);
/// A client that stays ahead of its message rate for so long is closed.
pub const RATE_CLOSE_AFTER: Duration = Duration::from_secs(10);
/// What asking for all awareness states costs, in messages: the answer is as large as the room is busy.
pub const AWARENESS_QUESTION_COST: u64 = 20;
/// Bytes handed to the socket in one write.
pub const WRITE_BYTES_MAX: usize = 256 * 1024;
/// Buffers handed to the socket in one write.
pub const WRITE_BUFFERS_MAX: usize = 64;
/// Bytes one connection's outbox may hold beside one large sync answer; over it the reader is cut off.
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes one connection's outbox may hold while `limits.queued_bytes_max` is exceeded.
pub const OUTBOX_PRESSED_BYTES_MAX: usize = 64 * 1024;
/// Time a reader has for what it was handed while `limits.queued_bytes_max` is exceeded.
pub const PRESSED_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before a sync step 1 is asked again that was not answered for lack of memory.
pub const ANSWER_RETRY: Duration = Duration::from_millis(200);
/// Frames one connection's outbox may hold.
pub const OUTBOX_FRAMES_MAX: usize = 16 * 1024;
/// Over this many queued bytes awareness is not queued but fetched again once the queue is empty.
pub const OUTBOX_AWARENESS_BYTES_MAX: usize = 64 * 1024;
/// Wait for the peer's close frame after ours.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Revocations remembered while joins that began before them are under way.
pub const REVOCATIONS_MAX: usize = 4096;
/// Refusals of the host remembered, by token and room.
pub const DENIALS_MAX: usize = 4096;
/// Questions under way whether live sessions still hold. Half of [`HOST_CALLS_MAX`], so that a slow host keeps
/// places for joins and saves.
pub const RECHECKS_MAX: usize = HOST_CALLS_MAX / 2;
/// A host that does not answer leaves a session as it is for so many times `auth.recheck_seconds`.
pub const RECHECK_GRACE_PERIODS: u32 = 3;
/// Wait for the room to let go of a session before its client is told why.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long who was kicked out of a room stays out.
pub const KICK_HOLD: Duration = Duration::from_mins(1);
/// Kicked users one room remembers; the longest kept out come back first.
pub const KICKED_MAX: usize = 256;

/// Commands waiting in one room's mailbox; over it senders wait, and TCP makes their clients wait.
pub const ROOM_MAILBOX_MAX: usize = 256;
/// Longest wait of a join for an empty room to leave memory, when `rooms.max_rooms` is reached.
pub const ROOM_PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often that join looks again.
pub const ROOM_PLACE_POLL: Duration = Duration::from_millis(50);
/// Commands a room handles before it tells its members what came of them.
pub const ROOM_BATCH_MAX: usize = ROOM_MAILBOX_MAX;
/// Bytes of updates a room gathers before it queues them for its members.
pub const FAN_OUT_BYTES_MAX: usize = 64 * 1024;
/// Updates of one room whose dependencies are missing.
pub const HELD_UPDATES_MAX: usize = 64;
/// Bytes of these updates.
pub const HELD_BYTES_MAX: usize = 256 * 1024;
/// One user's part of both is one in so many.
pub const HELD_USER_SHARE: usize = 8;
/// Updates up to this size are applied on the room's own task; larger ones on the compute threads.
pub const INLINE_UPDATE_BYTES_MAX: usize = 64 * 1024;
/// Bytes an update may have yrs copy on the room's own task, at most: it cuts strings at so many places, and each
/// may be as long as the document.
pub const INLINE_COPY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Stack of each thread that runs yrs, in bytes of address space.
pub const WORKER_STACK_BYTES: usize = 32 * 1024 * 1024;
/// Threads for heavy work on documents. More than there are cores: the system shares these out fairly, even if
/// some work was made to take long.
pub const COMPUTE_THREADS: usize = 4;
/// Jobs waiting for the compute threads.
pub const COMPUTE_QUEUE_MAX: usize = 256;
/// Longest wait for the client's own sync step 1 before the whole state is sent.
pub const FIRST_STEP_TIMEOUT: Duration = Duration::from_millis(500);

/// Largest client id: JavaScript's safe integers.
pub const CLIENT_ID_MAX: u64 = (1 << 53) - 1;
/// Largest clock of a struct.
pub const CLOCK_MAX: u64 = (1 << 31) - 1;
/// Structs and delete ranges in one update.
pub const UPDATE_STRUCTS_MAX: usize = 4_000_000;
/// Structs of one client in one update from which on neighbours are made one before yrs reads them: the memory
/// yrs takes to do it itself grows with their square.
pub const JOIN_STRUCTS_MIN: u64 = 32;
/// Entries of one state vector.
pub const STATE_VECTOR_ENTRIES_MAX: usize = 100_000;
/// Clients who ever wrote in a document. Who has all of it must be able to name them in a state vector, and
/// some whom the server does not know.
pub const DOCUMENT_CLIENTS_MAX: usize = STATE_VECTOR_ENTRIES_MAX - 10_000;
/// Nesting of JSON-like values within an update.
pub const ANY_DEPTH_MAX: usize = 64;
/// Nesting of shared types (XML elements, maps, lists, texts) within a document.
pub const XML_DEPTH_MAX: usize = 256;
/// Nesting of an awareness state's JSON.
pub const AWARENESS_DEPTH_MAX: usize = 32;
/// Awareness ids of one room, living and lately gone.
pub const AWARENESS_IDS_PER_ROOM_MAX: usize = 20_000;
/// Bytes of all awareness states of one room; fits an outbox.
pub const AWARENESS_BYTES_PER_ROOM_MAX: usize = 2 * 1024 * 1024;
/// An awareness state not renewed for so long is gone (y-protocols' `outdatedTimeout`).
pub const AWARENESS_TIMEOUT_MS: u64 = 30_000;
/// How often the state of a client that speaks JSON is renewed for the others (y-protocols' half of it).
pub const AWARENESS_RENEWAL: Duration = Duration::from_millis(AWARENESS_TIMEOUT_MS / 2);
/// How long a removed awareness id's clock is remembered.
pub const AWARENESS_TOMBSTONE_MS: u64 = 120_000;

/// Appends waiting for the store's writer.
pub const STORE_QUEUE_MAX: usize = 8192;
/// Appends written in one transaction.
pub const STORE_BATCH_MAX: usize = 1024;
/// Least time between the beginnings of two commits of appends; bounds how long an acknowledgement waits for
/// company.
pub const STORE_COMMIT_GAP: Duration = Duration::from_millis(20);
/// Bytes after which no further append joins a transaction.
pub const STORE_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Appends the store's writer holds while commits fail; over it they stay in the queue.
pub const STORE_PENDING_MAX: usize = STORE_QUEUE_MAX;
/// Loads and compressions waiting for the store's reading thread.
pub const STORE_READS_MAX: usize = 1024;
/// First wait before a failed commit is tried again; doubles up to [`STORE_RETRY_WAIT_MAX`].
pub const STORE_RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a failed commit is tried again.
pub const STORE_RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// A commit that takes so long is taken for a disk that hangs.
pub const STORE_STALL: Duration = Duration::from_secs(5);
/// Time a room waits for a place in a full queue before it asks whether the disk is well.
pub const STORE_PATIENCE: Duration = Duration::from_millis(250);
/// Bytes of one room's updates that may wait for a failing disk; over it the room takes no more edits.
pub const UNLOGGED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of all rooms' updates that may wait for a failing disk.
pub const UNLOGGED_BYTES_TOTAL_MAX: u64 = 256 * 1024 * 1024;
/// What each of these updates counts beside its bytes.
pub const UNLOGGED_UPDATE_BYTES: u64 = 160;
/// Time a closing store has for what is queued.
pub const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time a starting store waits for another engine to let go of its file.
pub const STORE_LOCK_WAIT: Duration = Duration::from_secs(1);
/// Room names whose database ids the store's writer remembers.
pub const STORE_ROOM_IDS_MAX: usize = 16 * 1024;
/// Largest whole document state that is stored, in bytes before compression.
pub const STORED_STATE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Snapshots of the last hour kept per room: one each minute, which is how often an idle room takes one. Of more
/// the newest stay.
pub const SNAPSHOTS_LAST_HOUR_MAX: usize = 60;
/// Texts kept per room because they lost a merge; the oldest go first.
pub const KEPT_VERSIONS_MAX: usize = 200;
/// A room's tail is folded into a new snapshot at this size, or at half its snapshot if that is more.
pub const SNAPSHOT_TAIL_BYTES: u64 = 256 * 1024;
/// A room nobody edits for so long gets its snapshot.
pub const SNAPSHOT_IDLE: Duration = Duration::from_mins(1);
/// Texts exchanged with a source that a room remembers, of ours and of others' each.
pub const EXCHANGED_TEXTS_MAX: usize = 4;
/// The same in bytes, together.
pub const EXCHANGED_BYTES_MAX: usize = 1024 * 1024;
/// Earlier states of a room whose blocks are looked at to tell what an outside text adds.
pub const REPLAY_LOOKS_MAX: usize = 8192;
/// The same in bytes of Markdown, together.
pub const REPLAY_LOOKS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Earlier states of a room that the author of an outside text may have started from.
pub const REPLAY_STATES_MAX: usize = 256;
/// The same in bytes of Markdown, together.
pub const REPLAY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Updates kept in quarantine; the oldest go first.
pub const QUARANTINE_UPDATES_MAX: usize = 100;
/// Bytes of these updates.
pub const QUARANTINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Updates on their way into quarantine.
pub const QUARANTINE_WRITES_MAX: usize = 4;

/// Host calls under way at once.
pub const HOST_CALLS_MAX: usize = 64;
/// Attempts of one call to the CivicPress API.
pub const HOST_API_ATTEMPTS_MAX: u32 = 3;
/// First wait before such a call is made again, at most; doubles each time.
pub const HOST_API_RETRY_WAIT: Duration = Duration::from_millis(200);
/// Calls in a row that fail before the API is left alone for a while.
pub const HOST_API_FAILURES_MAX: u32 = 5;
/// Time it is left alone first; doubles with each try that fails.
pub const HOST_API_OPEN_MIN: Duration = Duration::from_secs(1);
/// Longest time it is left alone.
pub const HOST_API_OPEN_MAX: Duration = Duration::from_secs(30);
/// Largest answer of the API, in bytes: a record, as JSON.
pub const HOST_API_ANSWER_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;
/// Time an unused connection to the API is kept: less than the 5 s after which Node closes it.
pub const HOST_API_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Host calls, hooks or log entries waiting for the JavaScript thread.
pub const HOST_QUEUE_MAX: usize = 1024;

/// Longest message of a log line, in bytes.
pub const LOG_LINE_BYTES_MAX: usize = 8 * 1024;
/// Fields of one log line.
pub const LOG_FIELDS_MAX: usize = 24;
/// Longest text field of a log line, in bytes.
pub const LOG_FIELD_BYTES_MAX: usize = 512;

/// Time over which the rate of messages is told.
pub const RATE_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two lines of what the engine does.
pub const PERFORMANCE_INTERVAL: Duration = Duration::from_mins(1);

/// Time over which one address's security events of a kind are counted.
pub const SECURITY_WINDOW: Duration = Duration::from_mins(1);
/// Events of one kind and address within [`SECURITY_WINDOW`] that are a suspicious pattern.
pub const SECURITY_PATTERN_MIN: u64 = 10;
/// Kinds and addresses counted at once; the longest known go first.
pub const SECURITY_TABLE_MAX: usize = 4096;
/// Security events told to log and host within [`SECURITY_WINDOW`], over all addresses; the rest is only counted.
pub const SECURITY_TOLD_MAX: u64 = 240;

/// Largest record file, in bytes.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Files looked at when the records' folder is listed.
pub const RECORDS_LISTED_MAX: usize = 10_000;
/// Levels of folders below the records' folder that are listed.
pub const RECORDS_DEPTH_MAX: usize = 8;
/// File events waiting to be told; over it every record counts as changed.
pub const WATCH_QUEUE_MAX: usize = 1024;

/// Time for each phase of a shutdown.
pub const SHUTDOWN_PHASE: Duration = Duration::from_secs(8);

/// Things a record would lose that the hook names; it says how many there are.
pub const LOSSES_TOLD_MAX: usize = 50;
