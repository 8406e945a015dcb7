//! The end of a connection that the server ends.

use crate::{
    error::CloseReason,
    net::socket::Socket,
    protocol::{control::ServerControl, sync, ws_frame},
    telemetry::correlation::CorrelationId,
};

/// What an ended connection was about.
pub(in crate::net) struct About<'a> {
    /// What it is called in log lines and hooks.
    pub correlation: &'a CorrelationId,
    /// The room it asked for, if that is one, as the client calls it.
    pub room: Option<&'a str>,
    /// The client speaks JSON, or its room is handled outside of the engine.
    pub json: bool,
}

/// Says why, then closes, and gives the peer a moment to do the same.
pub(in crate::net) async fn close(socket: &mut Socket, reason: &CloseReason, about: &About<'_>) {
    if matches!(reason, CloseReason::Dead) {
        return;
    }
    let denies = matches!(reason, CloseReason::AuthFailed | CloseReason::PermissionDenied);
    // Its close says all there is, and the host has no frame before it; what breaks the protocol gets none either.
    let without_a_word = matches!(
        reason,
        CloseReason::Protocol(_)
            | CloseReason::InvalidData
            | CloseReason::TooBig
            | CloseReason::ByHandler(..)
            | CloseReason::RoomTypeNotRegistered(_)
    );
    if !without_a_word {
        let (message, correlation_id) = (reason.message(), about.correlation.as_str());
        let told = match reason {
            CloseReason::SessionRevoked(why) => ServerControl::SessionRevoked {
                reason: if why.is_empty() { "session_revoked" } else { why },
                correlation_id,
            },
            _ => ServerControl::Error {
                code: reason.told_code(),
                message: &message,
                correlation_id,
                room_id: about.room,
            },
        };
        socket.queue(if about.json {
            ws_frame::text(&told.to_json())
        } else {
            ws_frame::binary(&told.to_bytes())
        });
    }
    if denies && !about.json {
        socket.queue(ws_frame::binary(&sync::auth_denied(&reason.message())));
    }
    socket.close(ws_frame::close(reason.close_code(), &reason.close_text())).await;
}
