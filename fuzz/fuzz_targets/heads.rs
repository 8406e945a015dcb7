//! A request's head and everything that is read from it before anybody is known.
#![no_main]

use civicpress_realtime::{
    auth::token,
    limits::{HEAD_BYTES_MAX, ROOM_ID_BYTES_MAX, TOKEN_BYTES_MAX},
    net::{head::Head, join::room_of_path, origin},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(Some(head)) = Head::parse(data) else { return };
    assert!(head.length <= data.len() && head.length <= HEAD_BYTES_MAX);
    // No part of a head is a whole one: what was read in pieces is judged as what came at once.
    assert!(!matches!(Head::parse(&data[..head.length - 1]), Ok(Some(_))));
    if let Ok(key) = head.accept_key() {
        assert!(key.len() == 28 && head.method == "GET" && head.minor_version == 1);
    }
    let _ = head.asks_for_websocket();
    if let Ok(found) = token::extract_token(|name| head.joined(name), head.query.as_deref(), true) {
        assert!(!found.token.is_empty() && found.token.len() <= TOKEN_BYTES_MAX);
        let offered = head.list("sec-websocket-protocol");
        let chosen = token::choose_subprotocol(&offered, found.subprotocol.as_deref());
        assert!(chosen.is_none_or(|name| !name.chars().any(char::is_control)));
    }
    if let Ok(room) = room_of_path(&head.path) {
        assert!(room.id().len() <= ROOM_ID_BYTES_MAX && room.kind().len() <= 32);
        assert!(!room.as_str().chars().any(char::is_control));
        assert!(!room.id().split('/').any(|part| matches!(part, "." | "..")));
    }
    let (from, host) = (head.header("origin"), head.header("host"));
    let allowed = ["https://example.org".to_owned(), "https://*.example.org".to_owned()];
    if let Some(from) = from
        && origin::is_allowed(from, host, &allowed)
    {
        let from = from.to_ascii_lowercase();
        assert!(from.starts_with("https://") && from.contains("example.org"), "{from}");
    }
    let _ = from.map(|from| origin::is_allowed(from, host, &[]));
});
