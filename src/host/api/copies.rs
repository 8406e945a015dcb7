//! Copies of rooms that the CivicPress API keeps (`snapshots.storage: api`), by the route `collab-snapshot`.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ApiHost, collab_snapshot, service_refused, unexpected};
use crate::{
    future::BoxFuture,
    host::{CopyInfo, HostCopies, HostCopy, HostError},
    ids::RoomId,
};

/// The one format of copies there is: an update v1 of the whole document.
const FORMAT: u64 = 1;

impl HostCopies for ApiHost {
    fn save<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<CopyInfo, HostError>> {
        Box::pin(async move {
            let body = json!({
                "roomId": room.as_str(),
                "state": BASE64.encode(&state),
                "integrityHash": sha256(&state),
                "formatVersion": FORMAT,
                "byteSize": state.len(),
            });
            let answer =
                self.call(Method::POST, collab_snapshot(room), &self.service, &body).await?;
            match answer.status {
                status if status.is_success() => info(&answer.json),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    Err(service_refused(HostError::Denied))
                }
                status => Err(unexpected("the copy", status)),
            }
        })
    }

    fn load<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<HostCopy, HostError>> {
        Box::pin(async move {
            let nothing = Value::Null;
            let answer =
                self.call(Method::GET, collab_snapshot(room), &self.service, &nothing).await?;
            match answer.status {
                StatusCode::OK => Ok(read(&answer.json)),
                StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED => Ok(HostCopy::Missing),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    Err(service_refused(HostError::Denied))
                }
                status => Err(unexpected("the copy", status)),
            }
        })
    }

    fn expire(
        &self,
        _before_ms: u64,
        _in_use: Vec<RoomId>,
    ) -> BoxFuture<'_, Result<u64, HostError>> {
        // The API drops what it keeps when it likes.
        Box::pin(async { Ok(0) })
    }
}

fn info(answer: &Value) -> Result<CopyInfo, HostError> {
    let number = |name: &str| answer.pointer(name).and_then(Value::as_u64);
    match (number("/data/version"), number("/data/timestamp")) {
        (Some(version), Some(created_at_ms)) => Ok(CopyInfo { version, created_at_ms }),
        _ => Err(HostError::Failed(
            "the CivicPress API answered a copy without version and timestamp".into(),
        )),
    }
}

fn read(answer: &Value) -> HostCopy {
    let field = |name: &str| answer.get("data").and_then(|data| data.get(name));
    let Some(state) = field("state").filter(|state| !state.is_null()) else {
        return HostCopy::Missing;
    };
    if field("formatVersion").and_then(Value::as_u64).is_some_and(|format| format > FORMAT) {
        // Of a later version of the package, which knows what to do with it.
        return HostCopy::Missing;
    }
    let Some(state) = state.as_str().and_then(|state| BASE64.decode(state).ok()) else {
        return HostCopy::Damaged("its state is no base64".into());
    };
    match field("integrityHash").map(|hash| hash.as_str() == Some(&*sha256(&state))) {
        Some(false) => HostCopy::Damaged("its SHA-256 is not the one that was stored".into()),
        _ => HostCopy::Sound(state.into()),
    }
}

/// In hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(data: &Value) -> HostCopy {
        read(&json!({ "success": true, "data": data }))
    }

    #[test]
    fn a_copy_is_sound_damaged_or_none() {
        let hash = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81";
        let sound = HostCopy::Sound(Bytes::from_static(&[1, 2, 3]));
        assert_eq!(copy(&json!({ "state": "AQID", "integrityHash": hash })), sound);
        assert_eq!(copy(&json!({ "state": "AQID", "formatVersion": 1 })), sound);
        for damaged in [
            json!({ "state": "AQI", "integrityHash": hash }),
            json!({ "state": 7 }),
            json!({ "state": "AQIE", "integrityHash": hash }),
            json!({ "state": "AQID", "integrityHash": null }),
        ] {
            assert!(matches!(copy(&damaged), HostCopy::Damaged(_)), "{damaged}");
        }
        for missing in [
            json!(null),
            json!({}),
            json!({ "state": null }),
            json!({ "state": "AQID", "formatVersion": 2 }),
        ] {
            assert_eq!(copy(&missing), HostCopy::Missing, "{missing}");
        }
        assert_eq!(read(&json!([1])), HostCopy::Missing);
    }
}
