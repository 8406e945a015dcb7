//! What a client that speaks JSON says of its person, as an awareness state for everybody else.

use serde::Serialize;

use crate::{
    host::Identity,
    protocol::{
        json::{ClientPresence, Cursor, PresenceChange, color_of},
        lib0::{write_string, write_var_uint},
    },
};

/// A client's awareness id and what it says under it. The client itself knows of neither.
#[derive(Debug)]
pub struct Voice {
    /// Random, as yjs makes its own: receivers remember the clocks of ids they have seen.
    id: u64,
    clock: u64,
    shown: bool,
    cursor: Option<Cursor>,
    color: Option<Box<str>>,
}

impl Voice {
    /// A voice that has said nothing.
    pub fn new(id: u32) -> Self {
        Self { id: id.into(), clock: 0, shown: false, cursor: None, color: None }
    }

    /// Its awareness id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The caret last said.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The person's colour: the wanted one, or everybody's for that user.
    pub fn color(&self, user_id: &str) -> &str {
        self.color.as_deref().unwrap_or_else(|| color_of(user_id))
    }

    /// Whether there is a state to renew.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Takes what a client says; returns the awareness update (count and entries) that says it to the others.
    pub fn take(&mut self, presence: ClientPresence, identity: &Identity) -> Vec<u8> {
        if let Some(color) = presence.color {
            self.color = Some(color.into());
        }
        match presence.change {
            PresenceChange::Joined => self.shown = true,
            PresenceChange::Cursor(cursor) => (self.shown, self.cursor) = (true, cursor),
            PresenceChange::Left => (self.shown, self.cursor) = (false, None),
            PresenceChange::Awareness(body) => return body,
        }
        self.say(identity)
    }

    /// The present state under the next clock.
    pub fn say(&mut self, identity: &Identity) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct State<'a> {
            user: User<'a>,
            // Not `cursor`: editors expect a position in the document there and break on any other.
            #[serde(skip_serializing_if = "Option::is_none")]
            text_cursor: Option<&'a Cursor>,
        }
        #[derive(Serialize)]
        struct User<'a> {
            id: &'a str,
            name: &'a str,
            color: &'a str,
        }
        let Identity { user_id, name, .. } = identity;
        let user = User { id: user_id, name, color: self.color(user_id) };
        let state = State { user, text_cursor: self.cursor.as_ref() };
        let state = self.shown.then(|| serde_json::to_string(&state).ok()).flatten();
        self.clock += 1;
        let mut body = Vec::new();
        write_var_uint(&mut body, 1);
        write_var_uint(&mut body, self.id);
        write_var_uint(&mut body, self.clock);
        write_string(&mut body, state.as_deref().unwrap_or("null"));
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::lib0::Reader;

    fn said(body: &[u8]) -> (u64, u64, String) {
        let mut reader = Reader::new(body);
        assert_eq!(reader.var_uint(), Ok(1));
        let (id, clock) = (reader.var_uint().unwrap(), reader.var_uint().unwrap());
        (id, clock, reader.string().unwrap().to_owned())
    }

    #[test]
    fn what_is_said_is_a_state_of_the_verified_person() {
        let ada = Identity {
            user_id: "1".into(),
            name: "Ada".into(),
            role: "editor".into(),
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        };
        let mut voice = Voice::new(7);
        let mut take = |change, color: Option<&str>| {
            let color = color.map(str::to_owned);
            said(&voice.take(ClientPresence { color, change }, &ada))
        };
        let own = color_of("1");
        let user = |color: &str| format!(r#""user":{{"id":"1","name":"Ada","color":"{color}"}}"#);
        assert_eq!(take(PresenceChange::Joined, None), (7, 1, format!("{{{}}}", user(own))));
        let cursor = PresenceChange::Cursor(Some(Cursor { position: 4, selection: None }));
        assert_eq!(
            take(cursor, Some("#000000")),
            (7, 2, format!(r#"{{{},"textCursor":{{"position":4}}}}"#, user("#000000")))
        );
        assert_eq!(take(PresenceChange::Left, None), (7, 3, "null".into()));
    }
}
