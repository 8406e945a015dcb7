//! Promises settled from other threads, with errors that carry a `code`.

use napi::{
    Env, Error, JsValue, Status,
    bindgen_prelude::{JsObjectValue, Object, ToNapiValue},
};

use crate::error::EngineError;

type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;
type Deferred<T> = napi::JsDeferred<T, Resolver<T>>;

/// What JavaScript sees as an `Error` with `name` `RealtimeError` and this `code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// The sentence for people.
    pub message: String,
}

impl Failure {
    /// A failure with a code that is not an [`EngineError`]'s.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<Failure> for Error<String> {
    /// For synchronous functions: napi makes the status the JavaScript error's `code`.
    fn from(failure: Failure) -> Self {
        Error::new(failure.code, failure.message)
    }
}

/// The right to settle one promise, once, from any thread. Dropped unused, it rejects: work that vanished
/// with its runtime must not leave a promise pending, which would hold the process for ever.
pub struct Settler<T: ToNapiValue + Send + 'static> {
    deferred: Option<Deferred<T>>,
}

impl<T: ToNapiValue + Send + 'static> Settler<T> {
    /// Makes a promise and the right to settle it. Must be called on the JavaScript thread.
    pub fn new(env: &Env) -> napi::Result<(Self, Object<'_>)> {
        let (deferred, promise) = env.create_deferred::<T, Resolver<T>>()?;
        Ok((Self { deferred: Some(deferred) }, promise))
    }

    /// Resolves or rejects.
    pub fn settle(mut self, result: Result<T, Failure>) {
        self.settle_once(result);
    }

    fn settle_once(&mut self, result: Result<T, Failure>) {
        let Some(deferred) = self.deferred.take() else { return };
        // The error is built on the JavaScript thread: a rejection from here would carry only a status.
        deferred.resolve(Box::new(move |env| result.map_err(|failure| js_error(&env, &failure))));
    }
}

impl<T: ToNapiValue + Send + 'static> Drop for Settler<T> {
    fn drop(&mut self) {
        self.settle_once(Err(EngineError::NotRunning.into()));
    }
}

fn js_error(env: &Env, failure: &Failure) -> Error {
    let plain = || Error::new(Status::GenericFailure, failure.message.clone());
    let build = || -> napi::Result<Error> {
        let mut object = env.create_error(plain())?;
        object.set_named_property("name", "RealtimeError")?;
        object.set_named_property("code", failure.code.as_str())?;
        Ok(Error::from(object.to_unknown()))
    };
    build().unwrap_or_else(|_| plain())
}
