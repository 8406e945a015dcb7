//! JavaScript as the [`Host`]: every decision is one bounded, timed call of a callback.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use napi::{
    JsValue, Status,
    bindgen_prelude::{FnArgs, FromNapiValue, JsValuesTupleIntoVec, Promise, Unknown},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use tokio::sync::{Semaphore, watch};

use crate::{
    binding::copies,
    binding::options::{AuthAnswer, Caller, GrantAnswer, HostCallbacks, LoadAnswer, SaveAnswer},
    future::BoxFuture,
    host::{
        self, Grant, Hook, Host, HostCopies, HostError, Identity, RecordSummary, RecordText,
        SaveOutcome,
    },
    ids::RoomId,
    limits::{HOST_CALLS_MAX, HOST_QUEUE_MAX},
};

/// A callback that must not keep the process alive, with a bounded queue towards the JavaScript thread.
type Callback<Args, Return> =
    ThreadsafeFunction<Args, Return, Args, Status, false, true, HOST_QUEUE_MAX>;
/// A callback that answers.
pub(super) type Asked<Args, Answer> = Callback<Args, Promise<Answer>>;
type AskedOfEvents = Asked<FnArgs<(Option<Caller>, String, String)>, GrantAnswer>;
type Hooked = Callback<FnArgs<(String, String)>, Unknown<'static>>;

/// The callbacks, callable from any thread.
pub struct Callbacks {
    authenticate: Asked<FnArgs<(String,)>, AuthAnswer>,
    authorize: Asked<FnArgs<(Caller, String)>, GrantAnswer>,
    authorize_event: Option<AskedOfEvents>,
    load_record: Asked<FnArgs<(String,)>, LoadAnswer>,
    save_record: Asked<FnArgs<(String, String, Option<String>)>, SaveAnswer>,
    emit_hook: Option<Hooked>,
    bodies_only: bool,
    pub(super) copies: Option<copies::Callbacks>,
}

/// Makes a function callable from any thread; a macro because each has its own types.
macro_rules! threadsafe {
    ($function:expr) => {
        $function
            .build_threadsafe_function()
            .callee_handled::<false>()
            .weak::<true>()
            .max_queue_size::<{ $crate::limits::HOST_QUEUE_MAX }>()
            .build()
    };
}
pub(super) use threadsafe;

impl Callbacks {
    /// Takes the functions over. Must be called on the JavaScript thread.
    pub fn new(from: &HostCallbacks<'_>) -> napi::Result<Self> {
        Ok(Self {
            authenticate: threadsafe!(from.authenticate)?,
            authorize: threadsafe!(from.authorize)?,
            authorize_event: match &from.authorize_event {
                Some(function) => Some(threadsafe!(function)?),
                None => None,
            },
            load_record: threadsafe!(from.load_record)?,
            save_record: threadsafe!(from.save_record)?,
            emit_hook: match &from.emit_hook {
                Some(function) => Some(threadsafe!(function)?),
                None => None,
            },
            bodies_only: from.bodies_only.unwrap_or(false),
            copies: from.copies.as_ref().map(copies::Callbacks::new).transpose()?,
        })
    }
}

/// The host behind the callbacks.
pub struct JsHost {
    pub(super) callbacks: Callbacks,
    calls: Semaphore,
    call_timeout: Duration,
    /// Turns true when the JavaScript thread goes away: whoever waits for it would wait for nothing.
    gone: watch::Receiver<bool>,
    hooks_dropped: AtomicU64,
}

impl JsHost {
    /// A host whose calls may each take `call_timeout`, and fail at once when `gone` turns true.
    pub fn new(callbacks: Callbacks, call_timeout: Duration, gone: watch::Receiver<bool>) -> Self {
        Self {
            callbacks,
            calls: Semaphore::new(HOST_CALLS_MAX),
            call_timeout,
            gone,
            hooks_dropped: AtomicU64::new(0),
        }
    }

    /// One call, in its place among at most [`HOST_CALLS_MAX`], within the time, waiting included.
    pub(super) async fn ask<Args, Answer>(
        &self,
        callback: &Asked<Args, Answer>,
        args: Args,
    ) -> Result<Answer, HostError>
    where
        Args: JsValuesTupleIntoVec + Send + 'static,
        Answer: FromNapiValue + Send + 'static,
    {
        let call = async {
            let _place = self.calls.acquire().await.map_err(|_| failed("the host is gone"))?;
            // The catching variant: with the plain one a throw would end the host's process.
            let promise = callback.call_async_catch(args).await.map_err(|error| threw(&error))?;
            promise.await.map_err(|error| threw(&error))
        };
        let mut gone = self.gone.clone();
        let bounded = within(self.call_timeout, call);
        tokio::select! {
            answer = bounded => answer,
            _ = gone.wait_for(|gone| *gone) => Err(failed("the host is gone")),
        }
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, HostError>>,
) -> Result<T, HostError> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(HostError::Timeout))
}

pub(super) fn failed(what: impl Into<String>) -> HostError {
    HostError::Failed(what.into())
}

fn threw(error: &napi::Error) -> HostError {
    match error.status {
        Status::QueueFull => failed("too many calls wait for the JavaScript thread"),
        Status::Closing => failed("the host is gone"),
        _ => failed(error.reason.clone()),
    }
}

/// Turns an answer's `ok: false` into an error; codes that are not verdicts are failures of the host.
pub(super) fn refused(code: Option<String>, message: Option<String>) -> HostError {
    let message = message.unwrap_or_default();
    match code.as_deref() {
        Some("AUTH_FAILED") => HostError::Unauthenticated(message),
        Some("PERMISSION_DENIED") => HostError::Denied,
        Some(code) => failed(format!("{code}: {message}")),
        None => failed(message),
    }
}

/// Names are constants of the engine: the base of a three-way merge is stored under them.
fn source_name(source: Option<&str>) -> &'static str {
    match source {
        Some("draft") => "draft",
        Some("file") => "file",
        _ => "record",
    }
}

fn identity(answer: AuthAnswer) -> Result<Identity, HostError> {
    if !answer.ok {
        return Err(refused(answer.code, answer.message));
    }
    let user_id = answer
        .user_id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| failed("authenticate() answered ok without a userId"))?;
    Ok(Identity {
        name: answer.name.filter(|name| !name.is_empty()).unwrap_or_else(|| user_id.clone()),
        user_id,
        role: answer.role.unwrap_or_else(|| "viewer".into()),
        expires_at_ms: answer.expires_at_ms.map(expiry_ms).transpose()?,
        room_patterns: answer.rooms.unwrap_or_default(),
        api_user: None,
    })
}

fn expiry_ms(value: f64) -> Result<u64, HostError> {
    // A limit that cannot be understood must not become no limit.
    safe_integer(value)
        .ok_or_else(|| failed("authenticate() answered an expiresAtMs that is no time"))
}

/// A number of JavaScript's that it can tell from its neighbours.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie within JavaScript's safe integers"
)]
pub(super) fn safe_integer(value: f64) -> Option<u64> {
    (0.0..9_007_199_254_740_992.0).contains(&value).then_some(value as u64)
}

fn grant(answer: GrantAnswer) -> Result<Grant, HostError> {
    if !answer.ok {
        return Err(refused(answer.code, answer.message));
    }
    Ok(Grant { can_edit: answer.can_edit.unwrap_or(false) })
}

fn caller(identity: &Identity) -> Caller {
    Caller {
        user_id: identity.user_id.clone(),
        name: identity.name.clone(),
        role: identity.role.clone(),
    }
}

fn record(answer: LoadAnswer) -> Result<Option<RecordText>, HostError> {
    if !answer.ok {
        return Err(refused(answer.code, answer.message));
    }
    let source = source_name(answer.source.as_deref());
    Ok(answer.text.map(|text| RecordText { source, text }))
}

fn outcome(answer: SaveAnswer) -> Result<SaveOutcome, HostError> {
    if !answer.ok {
        return Err(refused(answer.code, answer.message));
    }
    let source = source_name(answer.source.as_deref());
    match (answer.saved, answer.text) {
        (Some(true), _) if answer.elsewhere == Some(true) => Ok(SaveOutcome::SavedElsewhere),
        (Some(true), _) => Ok(SaveOutcome::Saved(source)),
        (Some(false), Some(text)) => Ok(SaveOutcome::Changed(RecordText { source, text })),
        _ => Err(failed("saveRecord() answered neither saved nor the present text")),
    }
}

impl Host for JsHost {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>> {
        Box::pin(async {
            identity(
                self.ask(&self.callbacks.authenticate, FnArgs::from((token.to_owned(),))).await?,
            )
        })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>> {
        Box::pin(async {
            // The host may have forgotten by now what its own token was limited to.
            if !crate::auth::grant::allows(&identity.room_patterns, room) {
                return Err(HostError::Denied);
            }
            let caller = caller(identity);
            let args = FnArgs::from((caller, room.as_str().to_owned()));
            grant(self.ask(&self.callbacks.authorize, args).await?)
        })
    }

    fn authorize_event<'a>(
        &'a self,
        who: Option<&'a Identity>,
        room: &'a str,
        action: &'static str,
    ) -> BoxFuture<'a, Result<bool, HostError>> {
        Box::pin(async move {
            let Some(callback) = &self.callbacks.authorize_event else {
                return host::by_record(self, who, room, action).await;
            };
            let args = FnArgs::from((who.map(caller), room.to_owned(), action.to_owned()));
            match grant(self.ask(callback, args).await?) {
                Ok(grant) => Ok(grant.can_edit),
                Err(HostError::Denied) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn load_record<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>> {
        Box::pin(async {
            let args = FnArgs::from((room.as_str().to_owned(),));
            record(self.ask(&self.callbacks.load_record, args).await?)
        })
    }

    fn save_record<'a>(
        &'a self,
        room: &'a RoomId,
        text: &'a str,
        expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>> {
        Box::pin(async move {
            let args = FnArgs::from((
                room.as_str().to_owned(),
                text.to_owned(),
                expected.map(str::to_owned),
            ));
            outcome(self.ask(&self.callbacks.save_record, args).await?)
        })
    }

    fn texts_have_front_matter(&self) -> bool {
        !self.callbacks.bodies_only
    }

    fn copies(&self) -> Option<&dyn HostCopies> {
        self.callbacks.copies.is_some().then_some(self as &dyn HostCopies)
    }

    fn emit_hook(&self, hook: Hook) {
        let Some(callback) = &self.callbacks.emit_hook else { return };
        let args = FnArgs::from((hook.name.to_owned(), hook.data.to_string()));
        // With a return callback a throw ends here; without one it would end the host's process.
        let status = callback.call_with_return_value(
            args,
            ThreadsafeFunctionCallMode::NonBlocking,
            |returned, _env| {
                forget_promise(returned);
                Ok(())
            },
        );
        if status != Status::Ok {
            let dropped = self.hooks_dropped.fetch_add(1, Ordering::Relaxed) + 1;
            // The first and then ever rarer, so that a stuck host does not fill the log as well.
            if dropped.is_power_of_two() && !*self.gone.borrow() {
                log::warn!(
                    event = "hooks_dropped", count = dropped;
                    "{dropped} hooks dropped: the JavaScript thread does not keep up"
                );
            }
        }
    }

    fn list_records<'a>(
        &'a self,
        _identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>> {
        // The record list belongs to the standalone pages; an embedding host has its own.
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Marks a returned promise as handled: its rejection would otherwise end the process as unhandled.
pub(super) fn forget_promise(returned: napi::Result<Unknown<'static>>) {
    let Ok(value) = returned else { return };
    if value.is_promise().unwrap_or(false) {
        drop(FromNapiValue::from_unknown(value).map(|_: Promise<()>| ()));
    }
}

impl std::fmt::Debug for JsHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsHost").finish_non_exhaustive()
    }
}

/// The host as the engine takes it.
pub fn shared(host: JsHost) -> Arc<dyn Host> {
    Arc::new(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_no_identity() {
        assert!(matches!(identity(AuthAnswer::default()), Err(HostError::Failed(_))));
        let unnamed = AuthAnswer { ok: true, ..Default::default() };
        assert!(matches!(identity(unnamed), Err(HostError::Failed(_))));
        for expires_at_ms in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let answer = AuthAnswer {
                ok: true,
                user_id: Some("7".into()),
                expires_at_ms: Some(expires_at_ms),
                ..Default::default()
            };
            assert!(identity(answer).is_err(), "{expires_at_ms}");
        }
    }

    #[test]
    fn a_bare_user_is_a_viewer_named_by_its_id() {
        let answer = AuthAnswer { ok: true, user_id: Some("7".into()), ..Default::default() };
        let identity = identity(answer).unwrap();
        assert_eq!((identity.name.as_str(), identity.role.as_str()), ("7", "viewer"));
    }

    #[test]
    fn verdicts_and_failures_are_told_apart() {
        let refused =
            |code: &str| grant(GrantAnswer { code: Some(code.into()), ..Default::default() });
        assert_eq!(refused("PERMISSION_DENIED"), Err(HostError::Denied));
        assert_eq!(refused("AUTH_FAILED"), Err(HostError::Unauthenticated(String::new())));
        assert!(matches!(refused("DATABASE_DOWN"), Err(HostError::Failed(_))));
        let silent = GrantAnswer { ok: true, ..Default::default() };
        assert_eq!(grant(silent), Ok(Grant { can_edit: false }));
    }

    #[test]
    fn a_save_must_say_what_became_of_it() {
        assert!(outcome(SaveAnswer { ok: true, ..Default::default() }).is_err());
        let saved = SaveAnswer { ok: true, saved: Some(true), ..Default::default() };
        assert_eq!(outcome(saved), Ok(SaveOutcome::Saved("record")));
        let changed = SaveAnswer {
            ok: true,
            saved: Some(false),
            text: Some("x".into()),
            source: Some("draft".into()),
            ..Default::default()
        };
        let present = RecordText { source: "draft", text: "x".into() };
        assert_eq!(outcome(changed), Ok(SaveOutcome::Changed(present)));
    }
}
