//! What clients say to rooms of events, and what others are told of it.
#![no_main]

use civicpress_realtime::{
    limits::{EVENT_ACK_BYTES_MAX, EVENT_NAME_BYTES_MAX},
    protocol::events::{
        self, Author, ClientMessage, Emission, EventError, Extras, Joined, Person, is_name,
    },
};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;

const AT_MS: u64 = 1_800_000_000_999;

/// A message of the server's, as far as it repeats what a client said.
#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    room: Option<String>,
    error: Option<String>,
    // As text: what a number or a string stands for is the client's own affair.
    #[serde(borrow)]
    ack: Option<&'a RawValue>,
}

fuzz_target!(|data: &[u8]| {
    let (ack, message) = events::read(data);
    let ack = ack.as_deref();
    assert!(ack.is_none_or(|ack| ack.get().len() <= EVENT_ACK_BYTES_MAX));
    match message {
        Ok(ClientMessage::Emit { event, data, room, .. }) => {
            let said = Emission {
                event: &event,
                data: data.as_deref(),
                room: room.as_deref(),
                at_ms: AT_MS,
            };
            emitted(&said);
            if let Some(ack) = ack {
                answered(
                    &events::acked(ack, said.room, Some(7), AT_MS),
                    "ack",
                    said.room,
                    Some(ack),
                );
            }
        }
        Ok(ClientMessage::Join { room, .. }) => {
            assert!(is_name(&room));
            let joined =
                Joined { room: &room, members: 1, offset: 7, epoch: "e-1", recovered: Some(false) };
            answered(&events::joined(&joined, ack, AT_MS), "joined", Some(&room), ack);
        }
        Ok(ClientMessage::Leave { room }) => {
            answered(&events::left(&room, ack, AT_MS), "left", Some(&room), ack);
        }
        Ok(ClientMessage::Presence { room }) => {
            let people =
                [Person { client_id: "c".into(), user_id: Some(room.clone()), name: None }];
            answered(&events::people(&room, &people, ack, AT_MS), "presence", Some(&room), ack);
        }
        Ok(ClientMessage::Ping) => answered(&events::pong(ack, AT_MS), "pong", None, ack),
        Ok(ClientMessage::Auth { token }) => {
            answered(&events::authenticated(&token, false, ack, AT_MS), "auth", None, ack);
        }
        Err(error) => refused(&error, ack),
    }
});

/// Whoever hears it hears what was said, in both protocols: read as a client's it is the same message.
fn emitted(said: &Emission<'_>) {
    assert!(is_name(said.event) && said.event.len() <= EVENT_NAME_BYTES_MAX);
    let from = Author { client_id: "c".into(), user_id: Some(said.event.into()) };
    let extras = Extras { offset: Some(7), from: Some(&from) };
    for text in [events::emission(said, None), events::emission(said, Some(&extras))] {
        let (_, Ok(ClientMessage::Emit { event, data, room, .. })) = events::read(text.as_bytes())
        else {
            panic!("is no emission: {text}")
        };
        assert_eq!(event, said.event);
        assert_eq!(room.as_deref(), said.room);
        assert_eq!(data.as_deref().map(RawValue::get), said.data.map(RawValue::get));
    }
}

fn answered(text: &str, kind: &str, room: Option<&str>, ack: Option<&RawValue>) {
    let heard: Heard<'_> = serde_json::from_str(text).expect("JSON");
    assert_eq!((heard.kind, heard.room.as_deref()), (kind, room));
    assert_eq!(heard.ack.map(RawValue::get), ack.map(RawValue::get));
}

fn refused(error: &EventError, ack: Option<&RawValue>) {
    assert!(error.to_string().len() <= 512, "an error repeats no more than a name");
    for coded in [false, true] {
        let text = events::error(error, coded, ack, AT_MS);
        answered(&text, "error", None, ack);
        let heard: Heard<'_> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(heard.error, Some(error.to_string()));
    }
}
