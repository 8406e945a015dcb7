//! What the server says: each function gives one message's text.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::EventError;

/// A message; what is not there is left out. The order is go-deployd's, what is more stands before `meta`.
#[derive(Default, Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<&'a [Person]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<&'a Person>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Author>,
    meta: Meta,
}

#[derive(Default, Serialize)]
struct Meta {
    timestamp: u64,
}

enum Data<'a> {
    Raw(&'a RawValue),
    Connect { client_id: &'a str, timestamp: u64 },
    Auth { is_root: bool, user_id: &'a str },
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Connect<'a> {
            client_id: &'a str,
            timestamp: u64,
        }
        #[derive(Serialize)]
        struct Auth<'a> {
            authenticated: bool,
            is_root: bool,
            user_id: &'a str,
        }
        match *self {
            Self::Raw(data) => data.serialize(serializer),
            Self::Connect { client_id, timestamp } => {
                Connect { client_id, timestamp }.serialize(serializer)
            }
            Self::Auth { is_root, user_id } => {
                Auth { authenticated: true, is_root, user_id }.serialize(serializer)
            }
        }
    }
}

impl Wire<'_> {
    fn of(kind: &'static str, at_ms: u64) -> Self {
        Self { kind, meta: Meta { timestamp: at_ms / 1000 }, ..Self::default() }
    }

    fn text(&self) -> String {
        // Strings, numbers and JSON that was read before: serialization has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Who said something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The connection's public name.
    pub client_id: String,
    /// Whose it is; `None` = nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The connection's public name.
    pub client_id: String,
    /// Whose it is; `None` = nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Name shown to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Something said to a room, or to everybody.
#[derive(Clone, Copy, Debug)]
pub struct Emission<'a> {
    /// What it is called.
    pub event: &'a str,
    /// What it says.
    pub data: Option<&'a RawValue>,
    /// To which room; `None` = to everybody.
    pub room: Option<&'a str>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// What clients that asked for it learn more of an emission.
#[derive(Clone, Copy, Debug)]
pub struct Extras<'a> {
    /// Its number in its room; `None` = it has none.
    pub offset: Option<u64>,
    /// Who said it; `None` = the server.
    pub from: Option<&'a Author>,
}

/// What became of a join.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// The room.
    pub room: &'a str,
    /// Who is in it, the newcomer included.
    pub members: usize,
    /// Its last event.
    pub offset: u64,
    /// Its history.
    pub epoch: &'a str,
    /// Whether the client has now all that it missed; `None` = it named nothing it had.
    pub recovered: Option<bool>,
}

/// Somebody came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Came.
    Join,
    /// Went.
    Leave,
}

/// The first message of a connection.
pub fn connect(client_id: &str, at_ms: u64) -> String {
    let data = Data::Connect { client_id, timestamp: at_ms / 1000 };
    Wire { data: Some(data), ..Wire::of("connect", at_ms) }.text()
}

/// The token holds.
pub fn authenticated(user_id: &str, is_root: bool, ack: Option<&RawValue>, at_ms: u64) -> String {
    let data = Some(Data::Auth { is_root, user_id });
    Wire { data, ack, ..Wire::of("auth", at_ms) }.text()
}

/// Something is wrong. The code is for clients that ask for more.
pub fn error(error: &EventError, coded: bool, ack: Option<&RawValue>, at_ms: u64) -> String {
    let text = error.to_string();
    let code = (coded || ack.is_some()).then(|| error.code());
    Wire { error: Some(&text), code, ack, ..Wire::of("error", at_ms) }.text()
}

/// The connection ends; `code` is its reason's.
pub fn closing(why: &str, code: Option<&str>, at_ms: u64) -> String {
    Wire { error: Some(why), code, ..Wire::of("error", at_ms) }.text()
}

/// Somebody said something.
pub fn emission(said: &Emission<'_>, extras: Option<&Extras<'_>>) -> String {
    Wire {
        event: Some(said.event),
        data: said.data.map(Data::Raw),
        room: said.room,
        offset: extras.and_then(|extras| extras.offset),
        from: extras.and_then(|extras| extras.from),
        ..Wire::of("emit", said.at_ms)
    }
    .text()
}

/// The client is in the room.
pub fn joined(joined: &Joined<'_>, ack: Option<&RawValue>, at_ms: u64) -> String {
    Wire {
        room: Some(joined.room),
        members: Some(joined.members),
        offset: Some(joined.offset),
        epoch: Some(joined.epoch),
        recovered: joined.recovered,
        ack,
        ..Wire::of("joined", at_ms)
    }
    .text()
}

/// The client is no longer in the room.
pub fn left(room: &str, ack: Option<&RawValue>, at_ms: u64) -> String {
    Wire { room: Some(room), ack, ..Wire::of("left", at_ms) }.text()
}

/// What the client said is on its way, and got this number.
pub fn acked(ack: &RawValue, room: Option<&str>, offset: Option<u64>, at_ms: u64) -> String {
    Wire { ack: Some(ack), room, offset, ..Wire::of("ack", at_ms) }.text()
}

/// Who is in a room.
pub fn people(room: &str, people: &[Person], ack: Option<&RawValue>, at_ms: u64) -> String {
    let (members, people) = (Some(people.len()), Some(people));
    Wire { room: Some(room), people, members, ack, ..Wire::of("presence", at_ms) }.text()
}

/// Somebody came into a room, or went.
pub fn change(room: &str, change: Change, person: &Person, at_ms: u64) -> String {
    let event = Some(match change {
        Change::Join => "join",
        Change::Leave => "leave",
    });
    let (room, person) = (Some(room), Some(person));
    Wire { event, room, person, ..Wire::of("presence", at_ms) }.text()
}

/// The answer to a ping.
pub fn pong(ack: Option<&RawValue>, at_ms: u64) -> String {
    Wire { ack, ..Wire::of("pong", at_ms) }.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn frames_are_go_deployds_to_the_byte() {
        assert_eq!(
            connect("client_1_0000001", 1_795_168_634_999),
            r#"{"type":"connect","data":{"client_id":"client_1_0000001","timestamp":1795168634},"meta":{"timestamp":1795168634}}"#
        );
        assert_eq!(
            authenticated("507f", false, None, 5000),
            r#"{"type":"auth","data":{"authenticated":true,"is_root":false,"user_id":"507f"},"meta":{"timestamp":5}}"#
        );
        assert_eq!(
            error(&EventError::NoRoom, false, None, 5000),
            r#"{"type":"error","error":"Room name required","meta":{"timestamp":5}}"#
        );
        let data = raw(r#"{"b":1, "a":"<é>"}"#);
        let said = Emission { event: "e", data: Some(&data), room: Some("r1"), at_ms: 5000 };
        assert_eq!(
            emission(&said, None),
            r#"{"type":"emit","event":"e","data":{"b":1, "a":"<é>"},"room":"r1","meta":{"timestamp":5}}"#
        );
        let said = Emission { event: "e", data: None, room: None, at_ms: 5000 };
        assert_eq!(emission(&said, None), r#"{"type":"emit","event":"e","meta":{"timestamp":5}}"#);
    }

    #[test]
    fn who_asks_gets_more() {
        let ack = raw("7");
        assert_eq!(
            error(&EventError::Denied, false, Some(&ack), 0),
            r#"{"type":"error","error":"Permission denied","code":"PERMISSION_DENIED","ack":7,"meta":{"timestamp":0}}"#
        );
        let from = Author { client_id: "c".into(), user_id: Some("7".into()) };
        let said = Emission { event: "e", data: None, room: Some("r"), at_ms: 0 };
        assert_eq!(
            emission(&said, Some(&Extras { offset: Some(3), from: Some(&from) })),
            r#"{"type":"emit","event":"e","room":"r","offset":3,"from":{"client_id":"c","user_id":"7"},"meta":{"timestamp":0}}"#
        );
        let state =
            Joined { room: "r", members: 2, offset: 3, epoch: "x-1", recovered: Some(true) };
        assert_eq!(
            joined(&state, Some(&ack), 0),
            r#"{"type":"joined","room":"r","ack":7,"offset":3,"epoch":"x-1","recovered":true,"members":2,"meta":{"timestamp":0}}"#
        );
        let person = Person { client_id: "c".into(), user_id: None, name: None };
        assert_eq!(
            change("r", Change::Leave, &person, 0),
            r#"{"type":"presence","event":"leave","room":"r","person":{"client_id":"c"},"meta":{"timestamp":0}}"#
        );
    }
}
