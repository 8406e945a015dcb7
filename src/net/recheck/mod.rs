//! Whether those who are in may still be: each live session's token is verified and its permission asked for
//! again, at least each `auth.recheck_seconds`.
//!
//! One question per user and room, whatever the number of their connections; jittered; at most
//! [`RECHECKS_MAX`](crate::limits::RECHECKS_MAX) under way. Rooms and connections never wait for it. A host that
//! does not answer leaves the present rights as they are for [`RECHECK_GRACE_PERIODS`] periods; then the session
//! ends with a code that lets the client come back and be judged anew.

mod table;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use self::table::{Due, Key};
pub use self::table::{Rechecks, Standing, Watched};
use crate::{
    error::CloseReason,
    host::{Grant, HostError, Identity},
    limits::RECHECK_GRACE_PERIODS,
    net::Shared,
    room::RoomCommand,
    time::unix_ms,
};

/// Asks for as long as the engine runs.
pub async fn run(shared: Arc<Shared>) {
    let mut stopped = shared.stopped.clone();
    let work = async {
        loop {
            let Ok(place) = shared.rechecks.place().await else { return };
            let due = due(&shared.rechecks).await;
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                ask(&shared, &due).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Waits for the next group that is due.
async fn due(rechecks: &Arc<Rechecks>) -> Due {
    loop {
        let next = rechecks.next_due();
        let at = next.unwrap_or_else(|| Instant::now() + rechecks.period());
        tokio::select! {
            () = sleep_until(at) => {}
            () = rechecks.earlier.notified() => {}
        }
        if let Some(due) = rechecks.take_due(Instant::now()) {
            return due;
        }
    }
}

/// Asks about one user in one room: each of their tokens once, and each identity these give once.
async fn ask(shared: &Shared, due: &Due) {
    let mut said = Said::default();
    for standing in due.sessions.iter().filter(|standing| !standing.outbox.is_closing()) {
        // A host that hangs is not asked for each token in turn.
        let verdict = match &said.failure {
            Some(failure) => Err(failure.clone()),
            None => said.of(shared, &due.key, standing).await,
        };
        if let Err(failure @ (HostError::Timeout | HostError::Failed(_))) = &verdict {
            said.failure = Some(failure.clone());
        }
        hear(shared, due, standing, verdict).await;
    }
    if said.failure.is_some() {
        due.retry();
    }
}

/// What the host said of one user in one room so far.
#[derive(Default)]
struct Said<'a> {
    identities: Vec<(&'a str, Result<Identity, HostError>)>,
    grants: Vec<(Identity, Result<Grant, HostError>)>,
    failure: Option<HostError>,
}

impl<'a> Said<'a> {
    async fn of(
        &mut self,
        shared: &Shared,
        (user, room): &Key,
        standing: &'a Standing,
    ) -> Result<(Identity, Option<Grant>), HostError> {
        let token = standing.token.as_str();
        let time = Duration::from_millis(shared.config.auth.timeout_ms);
        let known = self.identities.iter().find(|(of, _)| *of == token);
        let identity = if let Some((_, known)) = known {
            known.clone()
        } else {
            let answer = timeout(time, shared.host.authenticate(token)).await;
            let answer = answer.unwrap_or(Err(HostError::Timeout));
            self.identities.push((token, answer.clone()));
            answer
        }?;
        if *identity.user_id != **user {
            return Err(HostError::Unauthenticated("the token is another user's by now".into()));
        }
        if standing.room.is_none() {
            // Its handler decides what it may.
            return Ok((identity, None));
        }
        let known = self.grants.iter().find(|(of, _)| of.may_the_same_as(&identity));
        let grant = if let Some((_, known)) = known {
            known.clone()
        } else {
            let answer = timeout(time, shared.host.authorize(&identity, room)).await;
            let answer = answer.unwrap_or(Err(HostError::Timeout));
            self.grants.push((identity.clone(), answer.clone()));
            answer
        }?;
        Ok((identity, Some(grant)))
    }
}

/// Does what the host said of one session.
async fn hear(
    shared: &Shared,
    due: &Due,
    standing: &Standing,
    verdict: Result<(Identity, Option<Grant>), HostError>,
) {
    let (user, room) = (due.key.0.escape_debug(), &due.key.1);
    let (session, correlation_id) = (standing.session.0, standing.correlation.as_str());
    let outcome = match verdict {
        Ok((identity, grant)) => {
            standing.renew(&identity);
            if identity.expires_at_ms.is_some_and(|at_ms| at_ms <= unix_ms()) {
                standing.outbox.close(CloseReason::TokenExpired);
                "ended"
            } else {
                change(shared, due, standing, grant).await
            }
        }
        Err(error @ (HostError::Denied | HostError::Unauthenticated(_))) => {
            let reason = match error {
                HostError::Denied => CloseReason::PermissionDenied,
                _ => CloseReason::AuthFailed,
            };
            log::info!(
                event = "session_ended", room = room.as_str(), user:% = user, connection = session,
                correlation_id = correlation_id, code = reason.code();
                "connection {session}: user {user} may not stay in {room}: {error}"
            );
            // Its client comes back at once, and the host has just said what it says.
            shared.denials.put(&standing.token, room, reason.clone());
            standing.outbox.close(reason);
            "ended"
        }
        Err(error) => {
            let unheard = standing.heard.lock().at.elapsed();
            let over = unheard >= shared.rechecks.period() * RECHECK_GRACE_PERIODS;
            log::warn!(
                event = "recheck_failed", room = room.as_str(), user:% = user, connection = session,
                correlation_id = correlation_id, code = error.code();
                "connection {session}: the host did not say for {} s whether user {user} may stay in {room}: \
                 {error}",
                unheard.as_secs()
            );
            if over {
                standing.outbox.close(CloseReason::AuthUnavailable);
                "given_up"
            } else {
                "unanswered"
            }
        }
    };
    shared.metrics.rechecks.inc(outcome);
}

/// Brings a changed grant to the room, in order with the session's edits.
async fn change(
    shared: &Shared,
    due: &Due,
    standing: &Standing,
    grant: Option<Grant>,
) -> &'static str {
    let now = Instant::now();
    let changed = grant.filter(|_| standing.heard.lock().grant != grant);
    let (Some(grant), Some(room)) = (changed, &standing.room) else {
        standing.heard.lock().at = now;
        return "kept";
    };
    let regrant = RoomCommand::Regrant { session: standing.session, grant };
    let time = Duration::from_millis(shared.config.auth.timeout_ms);
    if timeout(time, room.send(regrant)).await.is_err() {
        // A room that takes nothing takes no edits either.
        due.retry();
        return "unanswered";
    }
    *standing.heard.lock() = table::Heard { grant: Some(grant), at: now };
    let (user, room, session) = (due.key.0.escape_debug(), &due.key.1, standing.session.0);
    log::info!(
        event = "rights_changed", room = room.as_str(), user:% = user, connection = session,
        correlation_id = standing.correlation.as_str();
        "connection {session}: user {user} may {} {room} from now on",
        if grant.can_edit { "edit" } else { "only read" }
    );
    "changed"
}
