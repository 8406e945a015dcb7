//! The class JavaScript holds.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use napi::{
    Env,
    bindgen_prelude::{Buffer, Object, ToNapiValue},
};
use napi_derive::napi;

use crate::{
    binding::{
        control::{Control, Running, Start},
        js_host::Callbacks,
        log_pump::LogPump,
        options::{
            EngineCallbacks, EngineHealth, EngineOptions, RoomLife, RoomLimits, ServerAddress,
            SnapshotAnswer,
        },
        promise::{Failure, Settler},
        rooms::{self, HandledRoomType},
    },
    engine::Engine,
    error::EngineError,
    protocol::json::{Level, Moderation},
};

/// One realtime engine. It lives on its own threads; every method returns at once.
#[napi]
pub struct RealtimeEngine {
    control: Arc<Control>,
    /// Whether this object's end-of-environment hook stands.
    hooked: AtomicBool,
}

#[napi]
impl RealtimeEngine {
    /// An engine that does not run yet; nothing is read or checked before `initialize`.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: EngineOptions) -> Self {
        Self { control: Control::new(options), hooked: AtomicBool::new(false) }
    }

    /// Starts. Resolves with the bound address once the port accepts connections; rejects with a
    /// `RealtimeError` and its `code`. With `enabled: false` both parts of the address are `null`. An engine
    /// that runs already answers its address.
    #[napi(catch_unwind, ts_return_type = "Promise<ServerAddress>")]
    pub fn initialize<'env>(
        &self,
        env: &'env Env,
        callbacks: Option<EngineCallbacks<'_>>,
    ) -> napi::Result<Object<'env>> {
        self.hook_environment(env)?;
        let given = callbacks.unwrap_or_default();
        let sources = given.sources.unwrap_or_default();
        let callbacks = given.host.as_ref().map(Callbacks::new).transpose()?;
        let rooms = given.rooms.as_ref().map(rooms::Callbacks::new).transpose()?;
        let log = given.log.as_ref().map(LogPump::start).transpose()?;
        let keep_alive = env
            .create_function_from_closure::<(), (), _>("keepAlive", |_| Ok(()))?
            .build_threadsafe_function()
            .callee_handled::<false>()
            .max_queue_size::<1>()
            .build()?;
        let (settle, promise) = Settler::<ServerAddress>::new(env)?;
        self.control.start(Start { sources, callbacks, rooms, log, keep_alive, settle });
        Ok(promise)
    }

    /// Stops gracefully, within a deadline: no new connections, rooms snapshotted and written back,
    /// connections and store closed. Safe before `initialize` and any number of times.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn shutdown<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (settle, promise) = Settler::<()>::new(env)?;
        self.control.stop(settle);
        Ok(promise)
    }

    /// Health, at any time.
    #[napi(catch_unwind)]
    pub fn get_health_status(&self) -> EngineHealth {
        self.control.health().into()
    }

    /// Writes a live room back now. No live room: `snapshotCreated` is false.
    #[napi(catch_unwind, ts_return_type = "Promise<SnapshotAnswer>")]
    pub fn trigger_snapshot<'env>(
        &self,
        env: &'env Env,
        room: String,
    ) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            engine.trigger_snapshot(&room).await.map(SnapshotAnswer::from)
        })
    }

    /// Reads the certificate's files again, for new connections. Rejects if they cannot be used: the one
    /// before stays.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn reload_tls<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move { engine.reload_tls().await })
    }

    /// Ends all sessions of a user at once; returns how many.
    #[napi(catch_unwind)]
    pub fn revoke_user(&self, user_id: String, reason: String) -> u32 {
        let ended = self
            .control
            .running()
            .map_or(0, |running| running.engine.revoke_user(&user_id, &reason));
        u32::try_from(ended).unwrap_or(u32::MAX)
    }

    /// An open room's document as Markdown, front matter included.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn room_markdown<'env>(&self, env: &'env Env, room: String) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move { engine.room_markdown(&room).await })
    }

    /// What a record refers to, by its room, as JSON: a list of `{type, id, label}`.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn references<'env>(&self, env: &'env Env, room: String) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let found = engine.references(&room).await?;
            serde_json::to_string(&found).map_err(|error| EngineError::Internal(error.to_string()))
        })
    }

    /// Raw updates that rebuild the room from nothing: its snapshot, if any, then its log in order.
    #[napi(catch_unwind, ts_return_type = "Promise<Array<Buffer>>")]
    pub fn export_log<'env>(&self, env: &'env Env, room: String) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let updates = engine.export_log(&room).await?;
            Ok(updates
                .into_iter()
                .map(|update| Buffer::from(Vec::from(update)))
                .collect::<Vec<_>>())
        })
    }

    /// Ends a user's sessions in a room, which stays closed to them for a minute; resolves with how many.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn kick_user<'env>(
        &self,
        env: &'env Env,
        room: String,
        user_id: String,
        reason: String,
    ) -> napi::Result<Object<'env>> {
        self.moderate(env, room, Moderation::Kick { user_id, reason })
    }

    /// Locks an open room, so that nobody edits, or unlocks it; resolves with how many sessions heard of it.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn lock_room<'env>(
        &self,
        env: &'env Env,
        room: String,
        locked: bool,
    ) -> napi::Result<Object<'env>> {
        self.moderate(env, room, if locked { Moderation::Lock } else { Moderation::Unlock })
    }

    /// Tells everybody in a room a sentence; resolves with how many sessions heard of it.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn notify_room<'env>(
        &self,
        env: &'env Env,
        room: String,
        message: String,
        #[napi(ts_arg_type = "'info' | 'warning' | 'error'")] level: String,
    ) -> napi::Result<Object<'env>> {
        let level = match level.as_str() {
            "warning" => Level::Warning,
            "error" => Level::Error,
            _ => Level::Info,
        };
        self.moderate(env, room, Moderation::Notice { level, message })
    }

    fn moderate<'env>(
        &self,
        env: &'env Env,
        room: String,
        moderation: Moderation,
    ) -> napi::Result<Object<'env>> {
        self.run(env, |engine| async move {
            let sessions = engine.moderate(&room, moderation).await?;
            Ok(u32::try_from(sessions).unwrap_or(u32::MAX))
        })
    }

    /// Replaces the room types that `callbacks.rooms` handles; counts from the next connection on.
    #[napi(catch_unwind)]
    pub fn set_room_types(&self, types: Vec<HandledRoomType>) {
        rooms::set_types(&self.control.room_types, types);
    }

    /// Says how many rooms JavaScript holds; they count towards `rooms.max_rooms`.
    #[napi(catch_unwind)]
    pub fn set_rooms_held(&self, count: u32) {
        self.control.rooms_held.store(count as usize, Ordering::Relaxed);
    }

    /// The open document room of this name, without waiting for it; `null` = not open.
    #[napi(catch_unwind)]
    pub fn room_life(&self, room: String) -> Option<RoomLife> {
        self.control.running()?.engine.room_life(&room).map(RoomLife::from)
    }

    /// What rooms are kept to, as configured.
    #[napi(catch_unwind)]
    pub fn room_limits(&self) -> RoomLimits {
        self.control.room_limits()
    }

    /// Names of the open rooms.
    #[napi(catch_unwind)]
    pub fn rooms(&self) -> Vec<String> {
        self.control.running().map_or_else(Vec::new, |running| running.engine.rooms())
    }

    /// What this object controls.
    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// Runs `work` on the engine's own threads and settles a promise with what it answers.
    pub(super) fn run<'env, T, Work>(
        &self,
        env: &'env Env,
        work: impl FnOnce(Arc<Engine>) -> Work,
    ) -> napi::Result<Object<'env>>
    where
        T: ToNapiValue + Send + 'static,
        Work: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let (settle, promise) = Settler::<T>::new(env)?;
        if let Some(Running { engine, handle }) = self.control.running() {
            let work = work(engine);
            drop(handle.spawn(async move { settle.settle(work.await.map_err(Failure::from)) }));
        } else {
            settle.settle(Err(EngineError::NotRunning.into()));
        }
        Ok(promise)
    }

    /// Has the engine stopped when its environment (the process's or a worker thread's) ends by itself.
    /// `process.exit`, a crash and a signal skip such hooks, so nothing durable may depend on them.
    fn hook_environment(&self, env: &Env) -> napi::Result<()> {
        if !self.hooked.swap(true, Ordering::Relaxed) {
            let control = Arc::downgrade(&self.control);
            env.add_env_cleanup_hook(control, |control| {
                if let Some(control) = control.upgrade() {
                    control.end_environment();
                }
            })?;
        }
        Ok(())
    }
}
