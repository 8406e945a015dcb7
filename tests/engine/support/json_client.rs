//! A client as CivicPress's first documents describe it: a yrs document behind JSON text frames.

use std::net::TcpStream;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client::IntoClientRequest, protocol::CloseFrame};
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, Transact, Update, updates::decoder::Decode};

use super::PATIENCE;

pub struct JsonClient {
    pub doc: Doc,
    socket: WebSocket<TcpStream>,
    pub version: u64,
    /// Everything that ever came.
    pub seen: Vec<Value>,
}

impl JsonClient {
    /// Connects with the protocol's name and waits for the room's state.
    pub fn join(url: &str, token: &str) -> Self {
        let mut client = Self::connect(url, &["civicpress.json.v1"], token);
        client.until_event("room_state");
        client
    }

    /// Only the WebSocket handshake, with these subprotocols.
    pub fn connect(url: &str, protocols: &[&str], token: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Authorization", format!("Bearer {token}").parse().unwrap());
        if !protocols.is_empty() {
            headers.insert("Sec-WebSocket-Protocol", protocols.join(", ").parse().unwrap());
        }
        let stream = TcpStream::connect(request.uri().authority().unwrap().as_str()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, response) = tungstenite::client(request, stream).unwrap();
        let echoed = response.headers().get("Sec-WebSocket-Protocol");
        assert_eq!(echoed.map(|name| name.to_str().unwrap()), protocols.first().copied());
        Self { doc: Doc::new(), socket, version: 0, seen: Vec::new() }
    }

    pub fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).unwrap();
    }

    /// Types at the end of the text `t`; sends the update.
    pub fn type_text(&mut self, words: &str) {
        let update = self.edit(words);
        let version = self.version;
        self.say(&json!({ "type": "sync", "update": STANDARD.encode(update), "version": version }));
    }

    /// Types without sending.
    pub fn edit(&mut self, words: &str) -> Vec<u8> {
        let text = self.doc.get_or_insert_text("t");
        let mut txn = self.doc.transact_mut();
        text.push(&mut txn, words);
        txn.encode_update_v1()
    }

    /// All it has, as an update.
    pub fn state(&self) -> String {
        STANDARD.encode(self.doc.transact().encode_diff_v1(&StateVector::default()))
    }

    pub fn text(&self) -> String {
        let text = self.doc.get_or_insert_text("t");
        text.get_string(&self.doc.transact())
    }

    /// The next message, applied to the document; `Err` = closed.
    pub fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let message = match self.socket.read().expect("a frame within the time-out") {
                Message::Text(text) => serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => {
                    let CloseFrame { code, reason } = frame.expect("a code");
                    return Err((code.into(), reason.to_string()));
                }
                // A server that has not heard JSON yet speaks to a stock client.
                _ => continue,
            };
            self.take(&message);
            self.seen.push(message.clone());
            return Ok(message);
        }
    }

    fn take(&mut self, message: &Value) {
        let (update, version) = match (message["type"].as_str(), message["event"].as_str()) {
            (Some("sync"), _) => (&message["update"], &message["version"]),
            (_, Some("room_state")) => (&message["room"]["yjsState"], &message["room"]["version"]),
            _ => return,
        };
        let update = STANDARD.decode(update.as_str().unwrap()).unwrap();
        let update = Update::decode_v1(&update).expect("a sound update");
        self.doc.transact_mut().apply_update(update).expect("an applicable update");
        self.version = version.as_u64().unwrap();
    }

    #[track_caller]
    pub fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next() {
                Ok(message) if what(&message) => return message,
                Ok(_) => {}
                Err(closed) => panic!("closed: {closed:?}"),
            }
        }
    }

    #[track_caller]
    pub fn until_event(&mut self, event: &str) -> Value {
        self.until(|message| message["event"] == event)
    }

    #[track_caller]
    pub fn until_text(&mut self, expected: &str) {
        while self.text() != expected {
            if let Err(closed) = self.next() {
                panic!("closed: {closed:?}; text is {:?}", self.text());
            }
        }
    }

    #[track_caller]
    pub fn until_closed(&mut self) -> (u16, String) {
        loop {
            if let Err(closed) = self.next() {
                return closed;
            }
        }
    }

    /// Everything the server said in answer to what was sent before.
    #[track_caller]
    pub fn settle(&mut self) {
        self.say(&json!({ "type": "ping" }));
        self.until(|message| message["type"] == "pong");
    }
}
