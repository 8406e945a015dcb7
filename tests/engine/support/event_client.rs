//! A client of events, frame by frame: what it does is what dpd.js does, or our own client.

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::{
    Error, HandshakeError, Message, WebSocket, client::IntoClientRequest, protocol::CloseFrame,
};

use super::{PATIENCE, Server};

pub struct EventClient {
    pub socket: WebSocket<TcpStream>,
    /// Its name, from the greeting.
    pub id: String,
}

impl EventClient {
    /// Connects to `/socket.io/` as go-deployd's clients do, and takes the greeting.
    pub fn plain(server: &Server) -> Self {
        Self::greeted(server, "/socket.io/", &[])
    }

    /// Connects as somebody, by a message.
    pub fn of(server: &Server, token: &str) -> Self {
        let mut client = Self::plain(server);
        client.auth(token);
        client
    }

    /// Connects with our subprotocol, and the token beside it.
    pub fn extended(server: &Server, token: &str) -> Self {
        let with_token = format!("auth.{token}");
        let mut client =
            Self::greeted(server, "/realtime/events", &["civicpress.events.v1", &with_token]);
        assert_eq!(client.next()["type"], "auth");
        client
    }

    pub fn greeted(server: &Server, path: &str, protocols: &[&str]) -> Self {
        let mut client = Self::connect(server, path, protocols);
        let greeting = client.next();
        assert_eq!(greeting["type"], "connect", "{greeting}");
        greeting["data"]["client_id"].as_str().unwrap().clone_into(&mut client.id);
        client
    }

    /// Only the WebSocket handshake.
    pub fn connect(server: &Server, path: &str, protocols: &[&str]) -> Self {
        // A token is no HTTP token: `:` is escaped nowhere, and the server does not mind.
        let protocols = protocols.join(", ");
        let headers: &[_] = &[("Sec-WebSocket-Protocol", protocols.as_str())];
        Self::with_headers(server, path, if protocols.is_empty() { &[] } else { headers })
    }

    pub fn with_headers(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::at(server.address, path, headers).expect("upgraded")
    }

    /// Only the WebSocket handshake, if the server agrees; else its status.
    pub fn at(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, id: String::new() }),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).unwrap();
    }

    /// Shows a token and waits for the answer.
    #[track_caller]
    pub fn auth(&mut self, token: &str) -> Value {
        self.say(&json!({ "type": "auth", "token": token }));
        let answer = self.next();
        assert_eq!(answer["type"], "auth", "{answer}");
        answer
    }

    /// Joins and waits until it is in.
    #[track_caller]
    pub fn join(&mut self, room: &str) -> Value {
        self.say(&json!({ "type": "join", "room": room, "ack": "join" }));
        let answer = self.until(|message| message["ack"] == "join");
        assert_eq!(answer["type"], "joined", "{answer}");
        answer
    }

    pub fn emit(&mut self, room: &str, event: &str, data: &Value) {
        self.say(&json!({ "type": "emit", "room": room, "event": event, "data": data }));
    }

    /// Asks for something and gives the answer to that very question.
    #[track_caller]
    pub fn ask(&mut self, mut message: Value) -> Value {
        message["ack"] = json!("asked");
        self.say(&message);
        self.until(|answer| answer["ack"] == "asked")
    }

    /// The next message; fails if the server closes.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_text()).expect("one JSON message per frame")
    }

    #[track_caller]
    pub fn next_text(&mut self) -> String {
        self.try_next().unwrap_or_else(|closed| panic!("closed: {closed:?}"))
    }

    /// The next message's text; `Err` = closed.
    pub fn try_next(&mut self) -> Result<String, (u16, String)> {
        loop {
            match self.socket.read().expect("a frame within the time-out") {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(frame) => {
                    let CloseFrame { code, reason } = frame.expect("a code");
                    return Err((code.into(), reason.to_string()));
                }
                Message::Binary(_) => panic!("events come as text"),
                _ => {}
            }
        }
    }

    #[track_caller]
    pub fn until(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next();
            if what(&message) {
                return message;
            }
        }
    }

    /// The next event of this name.
    #[track_caller]
    pub fn event(&mut self, name: &str) -> Value {
        self.until(|message| message["type"] == "emit" && message["event"] == name)
    }

    /// Reads until the server closes: what it said before, the code and the reason.
    #[track_caller]
    pub fn until_closed(&mut self) -> (Vec<Value>, u16, String) {
        let mut said = Vec::new();
        loop {
            match self.try_next() {
                Ok(text) => said.push(serde_json::from_str(&text).unwrap()),
                Err((code, reason)) => return (said, code, reason),
            }
        }
    }

    /// Everything said in answer to what came before, by a message that is answered last.
    #[track_caller]
    pub fn settle(&mut self) -> Vec<Value> {
        self.say(&json!({ "type": "ping", "ack": "settle" }));
        let mut said = Vec::new();
        loop {
            let message = self.next();
            if message["ack"] == "settle" {
                return said;
            }
            said.push(message);
        }
    }
}
