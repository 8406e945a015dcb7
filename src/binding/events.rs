//! Rooms of events as JavaScript reaches them: it says something without waiting, asks, and is told facts.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use napi::{
    Env, Status,
    bindgen_prelude::{FnArgs, Function, Object, Unknown},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use parking_lot::RwLock;
use serde_json::value::RawValue;

use crate::{
    binding::{engine::RealtimeEngine, js_host::threadsafe},
    error::EngineError,
    events::{
        Hub,
        hub::connections,
        speaker::{FactKind, Filter, Observer, Operation},
    },
    limits::HOST_QUEUE_MAX,
    room::RECORDS,
};

/// Which connections; what is not given fits all.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// The connection's public name.
    pub client_id: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// Where it comes from.
    pub address: Option<String>,
    /// A room it is in.
    pub room: Option<String>,
}

/// A room of events with members.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct EventRoom {
    /// Its name.
    pub room: String,
    /// How many are in it.
    pub members: u32,
}

impl From<EventFilter> for Filter {
    fn from(filter: EventFilter) -> Self {
        let EventFilter { client_id, user_id, address, room } = filter;
        Self { client_id, user_id, address, room }
    }
}

type Told = ThreadsafeFunction<
    FnArgs<(String, String)>,
    Unknown<'static>,
    FnArgs<(String, String)>,
    Status,
    false,
    true,
    HOST_QUEUE_MAX,
>;

/// What JavaScript wants to know of rooms, also before and between runs of the engine.
#[derive(Default)]
pub struct EventWatch {
    wanted: AtomicU8,
    told: RwLock<Option<Told>>,
}

impl EventWatch {
    fn bit(kind: FactKind) -> u8 {
        1 << kind as u8
    }
}

impl Observer for EventWatch {
    fn wants(&self, kind: FactKind) -> bool {
        self.wanted.load(Ordering::Relaxed) & Self::bit(kind) != 0
    }

    fn note(&self, kind: FactKind, json: String) -> bool {
        let told = self.told.read();
        let Some(told) = told.as_ref() else { return true };
        let args = FnArgs::from((kind.name().to_owned(), json));
        told.call(args, ThreadsafeFunctionCallMode::NonBlocking) == Status::Ok
    }
}

#[napi]
impl RealtimeEngine {
    /// Says something to a room of events, or to everybody; `data` is JSON. Returns at once; `false` = it is
    /// not said: the engine does not run, too much waits, or it cannot be called so.
    #[napi(catch_unwind)]
    pub fn emit_event(&self, room: Option<String>, event: String, data: Option<String>) -> bool {
        let Ok(data) = data.map(RawValue::from_string).transpose() else { return false };
        self.with_hub(|hub| hub.tell(room.as_deref(), &event, data).is_ok()).unwrap_or(false)
    }

    /// Tells that documents of a collection changed; `documents` is a JSON list. Returns as `emitEvent` does.
    #[napi(catch_unwind)]
    pub fn emit_collection_change(
        &self,
        collection: String,
        #[napi(ts_arg_type = "'created' | 'updated' | 'deleted'")] operation: String,
        documents: String,
    ) -> bool {
        let (Some(operation), Ok(documents)) =
            (Operation::named(&operation), serde_json::from_str(&documents))
        else {
            return false;
        };
        self.with_hub(|hub| hub.change(&collection, operation, documents).is_ok()).unwrap_or(false)
    }

    /// Tells that a record of the host changed, if the configuration wants that told.
    #[napi(catch_unwind)]
    pub fn emit_record_change(
        &self,
        #[napi(ts_arg_type = "'created' | 'updated' | 'deleted'")] operation: String,
        record: String,
    ) -> bool {
        let wanted = self.with_hub(Hub::tells_of_records).unwrap_or(false);
        wanted && self.emit_collection_change(RECORDS.into(), operation, format!("[{record}]"))
    }

    /// Ends connections for events once they have heard all that was said before; resolves with how many.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn disconnect_event_clients<'env>(
        &self,
        env: &'env Env,
        filter: EventFilter,
        reason: String,
    ) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let ended = engine.events().disconnect(&filter.into(), &reason).await;
            Ok(u32::try_from(ended).unwrap_or(u32::MAX))
        })
    }

    /// Rooms of events with members.
    #[napi(catch_unwind, ts_return_type = "Promise<Array<EventRoom>>")]
    pub fn event_rooms<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let rooms = engine.events().rooms().await.into_iter().map(|occupied| EventRoom {
                room: occupied.room,
                members: u32::try_from(occupied.members).unwrap_or(u32::MAX),
            });
            Ok(rooms.collect::<Vec<_>>())
        })
    }

    /// Connections for events, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn event_connections<'env>(
        &self,
        env: &'env Env,
        filter: EventFilter,
    ) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let members = engine.events().find(&filter.into()).await;
            json(&connections(&members, usize::MAX))
        })
    }

    /// Who is in a room of events, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn event_people<'env>(&self, env: &'env Env, room: String) -> napi::Result<Object<'env>> {
        self.run(
            env,
            |engine| async move { json(&engine.events().people(&room.as_str().into()).await) },
        )
    }

    /// What was said in a room of events lately, oldest first, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn event_history<'env>(&self, env: &'env Env, room: String) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            Ok(format!("[{}]", engine.events().history(&room.as_str().into()).await.join(",")))
        })
    }

    /// Has `told` called with each fact of these kinds (`join`, `leave`, `message`) and its JSON.
    #[napi(catch_unwind)]
    pub fn watch_events(
        &self,
        kinds: Vec<String>,
        told: Function<'_, FnArgs<(String, String)>, Unknown<'static>>,
    ) -> napi::Result<()> {
        let watch = &self.control().event_watch;
        *watch.told.write() = Some(threadsafe!(told)?);
        let wanted =
            FactKind::ALL.into_iter().filter(|kind| kinds.iter().any(|name| name == kind.name()));
        let bits = wanted.fold(0, |bits, kind| bits | EventWatch::bit(kind));
        watch.wanted.store(bits, Ordering::Relaxed);
        Ok(())
    }

    fn with_hub<T>(&self, work: impl FnOnce(&Hub) -> T) -> Option<T> {
        let running = self.control().running()?;
        Some(work(running.engine.events()))
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, EngineError> {
    serde_json::to_string(value).map_err(|error| EngineError::Internal(error.to_string()))
}

impl std::fmt::Debug for EventWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventWatch").finish_non_exhaustive()
    }
}

/// Shared by the JavaScript object and each engine it runs.
pub type SharedWatch = Arc<EventWatch>;
