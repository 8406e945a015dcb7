//! Room types that JavaScript handles: [`Handlers`] by callbacks, and connections as objects it may write to.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, atomic::AtomicUsize},
};

use bytes::Bytes;
use napi::{
    Status,
    bindgen_prelude::{Buffer, FnArgs, FromNapiValue, Function, JsValuesTupleIntoVec, Promise},
    threadsafe_function::ThreadsafeFunction,
};
use napi_derive::napi;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use crate::{
    binding::js_host::threadsafe,
    future::BoxFuture,
    host::Identity,
    limits::{HOST_CALLS_MAX, HOST_QUEUE_MAX},
    net::handled::{Handlers, Handling, Newcomer, Opening, Peer, Refusal, Ticket},
};

/// A room type that JavaScript handles.
#[napi(object)]
#[derive(Clone, Debug)]
pub struct HandledRoomType {
    /// Its name, as in URLs.
    pub room_type: String,
    /// `connect` says who a connection is; the host is not asked about its token.
    pub authenticates: bool,
}

/// What a connection asks for.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct PeerRequest {
    /// The client's address.
    pub address: String,
    /// Its token.
    pub token: String,
    /// Request target, query included.
    pub url: String,
    /// Headers, names in lower case; several of one name are joined with commas.
    pub headers: HashMap<String, String>,
    /// Subprotocols it offers.
    pub protocols: Vec<String>,
    /// Who the host says it is; missing if the type authenticates by itself.
    pub user: Option<PeerUser>,
}

/// Who a connection is.
#[napi(object)]
#[derive(Clone, Debug)]
pub struct PeerUser {
    /// What its connections are counted under.
    pub key: String,
    /// Name shown to others.
    pub name: String,
    /// Role.
    pub role: String,
}

/// A connection that has a place among the sessions.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct PeerAdmission {
    /// The client's address.
    pub address: String,
    /// Who it is.
    pub user: PeerUser,
    /// Its room is a document of the engine.
    pub document: bool,
}

/// Answer of `connect` and `admitted`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct PeerAnswer {
    /// Whether the connection is taken.
    pub ok: bool,
    /// Why not; `nobody`: there is nobody to count it as.
    #[napi(ts_type = "'denied' | 'nobody' | 'failed' | 'full' | 'unavailable'")]
    pub refusal: Option<String>,
    /// The code of the error, of `failed`.
    pub code: Option<String>,
    /// What happened, for people.
    pub message: Option<String>,
    /// Who it is, of `connect` for a type that authenticates by itself.
    pub user: Option<PeerUser>,
}

/// What an engine calls for connections. None of them may throw.
#[napi(object, object_to_js = false)]
pub struct RoomCallbacks<'a> {
    /// Connections to rooms that are documents are told, too, by `admitted` and `closed`.
    pub follows_documents: bool,
    /// Whether a connection may be, and who it is.
    #[napi(ts_type = "(peer: RoomPeer, request: PeerRequest) => Promise<PeerAnswer>")]
    pub connect: Function<'a, FnArgs<(RoomPeer, PeerRequest)>, Promise<PeerAnswer>>,
    /// A connection is counted; it belongs into its room and is to be acknowledged, unless that is a document.
    #[napi(ts_type = "(peer: RoomPeer, admission: PeerAdmission) => Promise<PeerAnswer>")]
    pub admitted: Function<'a, FnArgs<(RoomPeer, PeerAdmission)>, Promise<PeerAnswer>>,
    /// A message, JSON; resolves when the handler is done with it.
    #[napi(ts_type = "(clientId: string, message: Buffer) => Promise<void>")]
    pub message: Function<'a, FnArgs<(String, Buffer)>, Promise<()>>,
    /// A connection is gone.
    #[napi(ts_type = "(clientId: string, code: number, reason: string) => void")]
    pub closed: Function<'a, FnArgs<(String, u16, String)>, ()>,
}

/// A connection, to be written to.
#[napi]
pub struct RoomPeer(Arc<Peer>);

#[napi]
impl RoomPeer {
    /// The connection's public name.
    #[napi(getter, catch_unwind)]
    pub fn client_id(&self) -> String {
        self.0.client_name()
    }

    /// What the connection is called in logs, hooks and errors.
    #[napi(getter, catch_unwind)]
    pub fn correlation_id(&self) -> String {
        self.0.correlation_id().to_owned()
    }

    /// The room, `type:id`.
    #[napi(getter, catch_unwind)]
    pub fn room(&self) -> String {
        self.0.room().to_string()
    }

    /// 1 = open, 2 = closing, 3 = closed, as in the WebSocket API.
    #[napi(getter, catch_unwind)]
    pub fn ready_state(&self) -> u8 {
        self.0.state() as u8
    }

    /// Queues text. `false` = it takes no more.
    #[napi(catch_unwind)]
    pub fn send_text(&self, text: String) -> bool {
        self.0.send_text(&text)
    }

    /// Queues bytes. `false` = it takes no more.
    #[napi(catch_unwind)]
    pub fn send_binary(&self, bytes: Buffer) -> bool {
        self.0.send_binary(&bytes)
    }

    /// Tells the client that it is in. `false` = it takes no more.
    #[napi(catch_unwind)]
    pub fn acknowledge(&self) -> bool {
        self.0.acknowledge()
    }

    /// Closes the connection once what is queued is written; at most 123 bytes of the reason are sent.
    #[napi(catch_unwind)]
    pub fn close(&self, code: u16, reason: String) {
        self.0.close(code, &reason);
    }
}

/// The types JavaScript handles at present.
pub type HandledTypes = Arc<RwLock<HashMap<String, Handling>>>;

/// Replaces the types JavaScript handles; counts from the next connection on.
pub fn set_types(types: &HandledTypes, all: Vec<HandledRoomType>) {
    let all = all.into_iter().map(|HandledRoomType { room_type, authenticates }| {
        (room_type, Handling { authenticates })
    });
    *types.write() = all.collect();
}

/// A callback that must not keep the process alive, with a bounded queue towards the JavaScript thread.
type Callback<Args, Return> =
    ThreadsafeFunction<Args, Return, Args, Status, false, true, HOST_QUEUE_MAX>;

/// The callbacks, callable from any thread.
pub struct Callbacks {
    follows_documents: bool,
    connect: Callback<FnArgs<(RoomPeer, PeerRequest)>, Promise<PeerAnswer>>,
    admitted: Callback<FnArgs<(RoomPeer, PeerAdmission)>, Promise<PeerAnswer>>,
    message: Callback<FnArgs<(String, Buffer)>, Promise<()>>,
    closed: Callback<FnArgs<(String, u16, String)>, ()>,
}

impl Callbacks {
    /// Takes the functions over. Must be called on the JavaScript thread.
    pub fn new(from: &RoomCallbacks<'_>) -> napi::Result<Self> {
        Ok(Self {
            follows_documents: from.follows_documents,
            connect: threadsafe!(from.connect)?,
            admitted: threadsafe!(from.admitted)?,
            message: threadsafe!(from.message)?,
            closed: threadsafe!(from.closed)?,
        })
    }
}

/// JavaScript as [`Handlers`].
pub struct JsHandlers {
    callbacks: Callbacks,
    types: HandledTypes,
    rooms_held: Arc<AtomicUsize>,
    /// Calls the JavaScript thread has not begun with.
    calls: Semaphore,
    /// Turns true when the JavaScript thread goes away: whoever waits for it would wait for nothing.
    gone: watch::Receiver<bool>,
}

impl JsHandlers {
    /// Handlers that fail at once when `gone` turns true.
    pub fn new(
        callbacks: Callbacks,
        types: HandledTypes,
        rooms_held: Arc<AtomicUsize>,
        gone: watch::Receiver<bool>,
    ) -> Self {
        Self { callbacks, types, rooms_held, calls: Semaphore::new(HOST_CALLS_MAX), gone }
    }

    /// Calls a function and returns what it returns. A promise is not awaited, so a handler that hangs keeps no
    /// place among the calls.
    async fn call<Args, Return>(
        &self,
        callback: &Callback<Args, Return>,
        args: Args,
    ) -> Result<Return, Refusal>
    where
        Args: JsValuesTupleIntoVec + Send + 'static,
        Return: FromNapiValue + Send + 'static,
    {
        self.unless_gone(async {
            let _place = self.calls.acquire().await.map_err(|_| lost("it is gone"))?;
            // The catching variant: with the plain one a throw would end the host's process.
            callback.call_async_catch(args).await.map_err(|error| lost(&error.reason))
        })
        .await
    }

    async fn ask<Args>(
        &self,
        callback: &Callback<Args, Promise<PeerAnswer>>,
        args: Args,
    ) -> Result<PeerAnswer, Refusal>
    where
        Args: JsValuesTupleIntoVec + Send + 'static,
    {
        let promise = self.call(callback, args).await?;
        let answer =
            self.unless_gone(async { promise.await.map_err(|error| lost(&error.reason)) }).await?;
        if answer.ok { Ok(answer) } else { Err(refusal(answer)) }
    }

    async fn unless_gone<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut gone = self.gone.clone();
        tokio::select! {
            outcome = work => outcome,
            _ = gone.wait_for(|gone| *gone) => Err(lost("it is gone")),
        }
    }
}

fn lost(why: &str) -> Refusal {
    Refusal::Unavailable(format!("the room's handler cannot be asked: {why}"))
}

fn refusal(answer: PeerAnswer) -> Refusal {
    let message = answer.message.unwrap_or_default();
    match answer.refusal.as_deref() {
        Some("nobody") => Refusal::Nobody,
        Some("failed") => Refusal::Failed { code: answer.code.unwrap_or_default(), message },
        Some("full") => Refusal::RoomLimit(message),
        Some("unavailable") => Refusal::Unavailable(message),
        _ => Refusal::Denied,
    }
}

impl From<Identity> for PeerUser {
    fn from(identity: Identity) -> Self {
        Self { key: identity.user_id, name: identity.name, role: identity.role }
    }
}

impl From<PeerUser> for Identity {
    fn from(user: PeerUser) -> Self {
        Self {
            user_id: user.key,
            name: user.name,
            role: user.role,
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        }
    }
}

fn joined_headers(headers: Vec<(String, String)>) -> HashMap<String, String> {
    let mut joined = HashMap::<String, String>::new();
    for (name, value) in headers {
        joined
            .entry(name)
            .and_modify(|before| {
                before.push_str(", ");
                before.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

impl Handlers for JsHandlers {
    fn handling(&self, kind: &str) -> Option<Handling> {
        self.types.read().get(kind).copied()
    }

    fn follows_documents(&self) -> bool {
        self.callbacks.follows_documents
    }

    fn rooms_held(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.rooms_held)
    }

    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Identity, Refusal>> {
        Box::pin(async move {
            let known = opening.identity.clone();
            let request = PeerRequest {
                address: opening.address.to_string(),
                token: opening.token,
                url: opening.url,
                headers: joined_headers(opening.headers),
                protocols: opening.protocols,
                user: opening.identity.map(PeerUser::from),
            };
            let args = FnArgs::from((RoomPeer(opening.peer), request));
            let answer = self.ask(&self.callbacks.connect, args).await?;
            known
                .or_else(|| answer.user.map(Identity::from))
                .filter(|identity| !identity.user_id.is_empty())
                .ok_or(Refusal::Nobody)
        })
    }

    fn admitted(&self, newcomer: Newcomer) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let admission = PeerAdmission {
                address: newcomer.address.to_string(),
                user: newcomer.identity.into(),
                document: newcomer.document,
            };
            let args = FnArgs::from((RoomPeer(newcomer.peer), admission));
            self.ask(&self.callbacks.admitted, args).await.map(drop)
        })
    }

    fn message<'a>(&'a self, peer: &'a Peer, message: Bytes, ticket: Ticket) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let args = FnArgs::from((peer.client_name(), Buffer::from(Vec::from(message))));
            let Ok(done) = self.call(&self.callbacks.message, args).await else { return };
            let mut gone = self.gone.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = done => {}
                    _ = gone.wait_for(|gone| *gone) => {}
                }
                drop(ticket);
            });
        })
    }

    fn closed<'a>(&'a self, peer: &'a Peer, code: u16, reason: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let args = FnArgs::from((peer.client_name(), code, reason.to_owned()));
            // Who is gone needs no news.
            drop(self.call(&self.callbacks.closed, args).await);
        })
    }
}

impl std::fmt::Debug for JsHandlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsHandlers").finish_non_exhaustive()
    }
}
