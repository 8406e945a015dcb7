//! The host's copies of rooms, kept by JavaScript.

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, FnArgs};

use crate::{
    binding::{
        js_host::{Asked, JsHost, failed, refused, safe_integer, threadsafe},
        options::{CopyCallbacks, CopyExpireAnswer, CopyLoadAnswer, CopySaveAnswer},
    },
    future::BoxFuture,
    host::{CopyInfo, HostCopies, HostCopy, HostError},
    ids::RoomId,
};

/// The callbacks, callable from any thread.
pub struct Callbacks {
    save: Asked<FnArgs<(String, Buffer)>, CopySaveAnswer>,
    load: Asked<FnArgs<(String,)>, CopyLoadAnswer>,
    expire: Asked<FnArgs<(f64, Vec<String>)>, CopyExpireAnswer>,
}

impl Callbacks {
    /// Takes the functions over. Must be called on the JavaScript thread.
    pub fn new(from: &CopyCallbacks<'_>) -> napi::Result<Self> {
        Ok(Self {
            save: threadsafe!(from.save)?,
            load: threadsafe!(from.load)?,
            expire: threadsafe!(from.expire)?,
        })
    }
}

fn info(answer: CopySaveAnswer) -> Result<CopyInfo, HostError> {
    if !answer.ok {
        return Err(refused(answer.code, answer.message));
    }
    let number = |value: Option<f64>| {
        value.and_then(safe_integer).ok_or_else(|| failed("copies.save() answered no version"))
    };
    Ok(CopyInfo { version: number(answer.version)?, created_at_ms: number(answer.created_at_ms)? })
}

fn newest(answer: CopyLoadAnswer) -> Result<HostCopy, HostError> {
    match answer {
        CopyLoadAnswer { ok: false, code, message, .. } => Err(refused(code, message)),
        CopyLoadAnswer { damaged: Some(why), .. } => Ok(HostCopy::Damaged(why)),
        CopyLoadAnswer { state: Some(state), .. } => {
            Ok(HostCopy::Sound(Bytes::copy_from_slice(&state)))
        }
        _ => Ok(HostCopy::Missing),
    }
}

impl JsHost {
    fn copy_callbacks(&self) -> Result<&Callbacks, HostError> {
        self.callbacks.copies.as_ref().ok_or_else(|| failed("the host keeps no copies"))
    }
}

impl HostCopies for JsHost {
    fn save<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<CopyInfo, HostError>> {
        Box::pin(async move {
            let args = FnArgs::from((room.as_str().to_owned(), Buffer::from(Vec::from(state))));
            info(self.ask(&self.copy_callbacks()?.save, args).await?)
        })
    }

    fn load<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<HostCopy, HostError>> {
        Box::pin(async move {
            let args = FnArgs::from((room.as_str().to_owned(),));
            newest(self.ask(&self.copy_callbacks()?.load, args).await?)
        })
    }

    fn expire(&self, before_ms: u64, in_use: Vec<RoomId>) -> BoxFuture<'_, Result<u64, HostError>> {
        Box::pin(async move {
            let in_use = in_use.iter().map(|room| room.as_str().to_owned()).collect();
            #[allow(clippy::cast_precision_loss, reason = "a time, far below 2^53")]
            let args = FnArgs::from((before_ms as f64, in_use));
            let answer = self.ask(&self.copy_callbacks()?.expire, args).await?;
            if !answer.ok {
                return Err(refused(answer.code, answer.message));
            }
            Ok(answer.expired.and_then(safe_integer).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_must_say_its_version() {
        let silent = CopySaveAnswer { ok: true, ..Default::default() };
        assert!(matches!(info(silent), Err(HostError::Failed(_))));
        for version in [f64::NAN, -1.0, 1e300] {
            let answer = CopySaveAnswer {
                ok: true,
                version: Some(version),
                created_at_ms: Some(1.0),
                ..Default::default()
            };
            assert!(info(answer).is_err(), "{version}");
        }
        let answer = CopySaveAnswer {
            ok: true,
            version: Some(3.0),
            created_at_ms: Some(5.0),
            ..Default::default()
        };
        assert_eq!(info(answer), Ok(CopyInfo { version: 3, created_at_ms: 5 }));
    }

    #[test]
    fn a_load_tells_none_from_damaged_and_failed() {
        let none = CopyLoadAnswer { ok: true, ..Default::default() };
        assert_eq!(newest(none), Ok(HostCopy::Missing));
        let damaged =
            CopyLoadAnswer { ok: true, damaged: Some("hash".into()), ..Default::default() };
        assert_eq!(newest(damaged), Ok(HostCopy::Damaged("hash".into())));
        assert!(newest(CopyLoadAnswer::default()).is_err());
    }
}
