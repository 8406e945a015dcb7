//! A blocking WebSocket client with a yrs document: speaks y-websocket frame by frame, so that tests see
//! every frame.

use std::{
    collections::VecDeque,
    net::TcpStream,
    time::{Duration, Instant},
};

use civicpress_realtime::protocol::{lib0::Reader, sync};
use tungstenite::{Message, WebSocket, client::IntoClientRequest, protocol::CloseFrame};
use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use super::PATIENCE;

/// What a server sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Step1(Vec<u8>),
    Step2(Vec<u8>),
    Update(Vec<u8>),
    Awareness(Vec<u8>),
    Denied(String),
    Json(serde_json::Value),
    Text(String),
    Closed(u16, String),
}

pub struct Client {
    pub doc: Doc,
    pub socket: WebSocket<TcpStream>,
    pub frames: VecDeque<Frame>,
    /// Everything that ever came, for looking back.
    pub seen: Vec<Frame>,
}

impl Client {
    /// Connects and goes through the handshake a stock client makes, until synced.
    pub fn join(url: &str, token: &str) -> Self {
        let mut client = Self::connect(url, token);
        client.say_hello();
        client.sync();
        client
    }

    /// Only the WebSocket handshake.
    pub fn connect(url: &str, token: &str) -> Self {
        Self::try_connect(url, token).expect("upgraded")
    }

    pub fn try_connect(url: &str, token: &str) -> Result<Self, tungstenite::Error> {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::default() };
        Self::with_doc(url, token, Doc::with_options(options))
    }

    pub fn with_doc(url: &str, token: &str, doc: Doc) -> Result<Self, tungstenite::Error> {
        let mut request = url.into_client_request()?;
        if !token.is_empty() {
            request
                .headers_mut()
                .insert("Authorization", format!("Bearer {token}").parse().unwrap());
        }
        let authority = request.uri().authority().unwrap().to_string();
        let stream = TcpStream::connect(authority)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (socket, _) = tungstenite::client(request, stream).map_err(|error| match error {
            tungstenite::HandshakeError::Failure(error) => error,
            tungstenite::HandshakeError::Interrupted(_) => panic!("interrupted"),
        })?;
        Ok(Self { doc, socket, frames: VecDeque::new(), seen: Vec::new() })
    }

    pub fn say_hello(&mut self) {
        let vector = self.doc.transact().state_vector().encode_v1();
        self.send(sync::sync_step1(&vector));
    }

    /// Handles frames until the server's step 1 and step 2 are both here.
    pub fn sync(&mut self) {
        let (mut step1, mut step2) = (false, false);
        while !(step1 && step2) {
            match self.next() {
                Frame::Step1(_) => step1 = true,
                Frame::Step2(_) => step2 = true,
                Frame::Closed(code, reason) => panic!("closed: {code} {reason}"),
                _ => {}
            }
        }
    }

    pub fn send(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).unwrap();
    }

    /// The next frame, applied to the document and answered like a stock client would.
    #[track_caller]
    pub fn next(&mut self) -> Frame {
        let frame = match self.frames.pop_front() {
            Some(frame) => frame,
            None => self.read().expect("a frame within the time-out"),
        };
        match &frame {
            Frame::Step1(vector) => {
                let vector = StateVector::decode_v1(vector).unwrap();
                let diff = self.doc.transact().encode_diff_v1(&vector);
                // A peer that is closing may not take it any more.
                let _ = self.socket.send(Message::Binary(sync::sync_step2(&diff).into()));
            }
            Frame::Step2(update) | Frame::Update(update) => self.apply(update),
            _ => {}
        }
        self.seen.push(frame.clone());
        frame
    }

    /// Handles frames until `condition` holds for the text.
    #[track_caller]
    pub fn until_text(&mut self, expected: &str) {
        while self.text() != expected {
            if let Frame::Closed(code, reason) = self.next() {
                panic!("closed: {code} {reason}; text is {:?}", self.text());
            }
        }
    }

    #[track_caller]
    pub fn until(&mut self, what: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next();
            if what(&frame) {
                return frame;
            }
            if let Frame::Closed(code, reason) = frame {
                panic!("closed: {code} {reason}");
            }
        }
    }

    /// Handles frames until the server closes; its code and reason.
    #[track_caller]
    pub fn until_closed(&mut self) -> (u16, String) {
        loop {
            if let Frame::Closed(code, reason) = self.next() {
                return (code, reason);
            }
        }
    }

    /// Handles what comes within `wait`.
    pub fn settle(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            self.socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            if let Some(frame) = self.read() {
                self.frames.push_back(frame);
                self.socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
                self.next();
            }
        }
        self.socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Types at the end of the text `t`; sends the update and returns it.
    pub fn type_text(&mut self, words: &str) -> Vec<u8> {
        let update = self.edit(words);
        self.send(sync::update(&update));
        update
    }

    /// Types without sending.
    pub fn edit(&mut self, words: &str) -> Vec<u8> {
        let text = self.doc.get_or_insert_text("t");
        let mut txn = self.doc.transact_mut();
        text.push(&mut txn, words);
        txn.encode_update_v1()
    }

    pub fn text(&self) -> String {
        let text = self.doc.get_or_insert_text("t");
        text.get_string(&self.doc.transact())
    }

    pub fn apply(&mut self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("a sound update");
        self.doc.transact_mut().apply_update(update).expect("an applicable update");
    }

    /// Goes away without a word, like a cut cable.
    pub fn vanish(self) -> Doc {
        let stream = self.socket.get_ref().try_clone().unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        self.doc.clone()
    }

    fn read(&mut self) -> Option<Frame> {
        loop {
            let frame = match self.socket.read() {
                Ok(Message::Binary(bytes)) => decode(&bytes),
                Ok(Message::Text(text)) => Frame::Text(text.to_string()),
                Ok(Message::Close(frame)) => {
                    let CloseFrame { code, reason } =
                        frame.unwrap_or(CloseFrame { code: 1005.into(), reason: "".into() });
                    Frame::Closed(code.into(), reason.to_string())
                }
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return None;
                }
                Err(error) => Frame::Closed(1006, error.to_string()),
            };
            return Some(frame);
        }
    }
}

fn decode(bytes: &[u8]) -> Frame {
    let mut reader = Reader::new(bytes);
    let body = |reader: &mut Reader<'_>| reader.bytes().unwrap().to_vec();
    let frame = match bytes[0] {
        b'{' => return Frame::Json(serde_json::from_slice(bytes).unwrap()),
        0 => {
            reader.u8().unwrap();
            match reader.u8().unwrap() {
                0 => Frame::Step1(body(&mut reader)),
                1 => Frame::Step2(body(&mut reader)),
                2 => Frame::Update(body(&mut reader)),
                other => panic!("sync {other}"),
            }
        }
        1 => {
            reader.u8().unwrap();
            Frame::Awareness(body(&mut reader))
        }
        2 => {
            reader.take(2).unwrap();
            Frame::Denied(reader.string().unwrap().to_owned())
        }
        other => panic!("frame type {other}"),
    };
    assert!(reader.is_empty(), "one message per frame");
    frame
}
