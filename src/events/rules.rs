//! Who may join, speak in, and look into rooms of events, by the room's name (`events.rules`).

use serde_json::{Map, Value};

use crate::{auth::grant, host::Identity};

/// The rules of an engine: the configured ones, then ours. The first whose pattern fits a room counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    broadcast: Who,
}

/// What holds in rooms of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pattern: String,
    join: Who,
    emit: Who,
    presence: Who,
    /// Names of events that clients may emit; `None` = any.
    events: Option<Vec<String>>,
    /// Only the newest event counts: who lags hears no older one.
    pub latest: bool,
}

/// What somebody wants of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To hear it.
    Join,
    /// To speak in it.
    Emit,
    /// To know who is in it.
    Presence,
}

impl Action {
    /// What hosts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Emit => "emit",
            Self::Presence => "presence",
        }
    }
}

/// What a rule says of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No.
    Denied,
    /// The host says it.
    AskHost,
}

/// Whom a rule allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Anyone,
    Users,
    Admins,
    Roles(Vec<String>),
    Host,
}

/// The role that may look at everything.
const ADMIN: &str = "admin";
/// Stands for the client's own user id in a pattern.
const OWN_ID: &str = "{user}";
/// Most rules and most names in one.
const ENTRIES_MAX: usize = 1000;

impl Default for Rules {
    fn default() -> Self {
        Self { rules: built_in(), broadcast: Who::Nobody }
    }
}

/// What holds where nobody configured anything: whoever has no token hears public rooms only, what the server
/// says of collections comes from nobody else, and nobody but the server speaks to everybody.
fn built_in() -> Vec<Rule> {
    use Who::{Admins, Anyone, Nobody, Users};
    let rule = |pattern: &str, join, emit, presence| Rule {
        pattern: pattern.into(),
        join,
        emit,
        presence,
        events: None,
        latest: false,
    };
    vec![
        rule("public:*", Anyone, Users, Users),
        rule("collections", Users, Nobody, Nobody),
        rule("collection:*", Users, Nobody, Nobody),
        rule("user:{user}", Users, Nobody, Nobody),
        rule("user:*", Nobody, Nobody, Nobody),
        Rule { latest: true, ..rule("system:*", Admins, Nobody, Admins) },
        rule("*", Users, Users, Users),
    ]
}

impl Rules {
    /// Reads `events.rules`. Errors say what is wrong, as the end of a sentence that begins with the key.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let mut rules = Self { rules: Vec::new(), broadcast: Who::Nobody };
        let entries = match value {
            Value::Null => &[][..],
            Value::Array(entries) if entries.len() <= ENTRIES_MAX => entries,
            Value::Array(_) => return Err(format!("holds more than {ENTRIES_MAX} rules")),
            _ => return Err("is not a list of rules".into()),
        };
        for (at, entry) in entries.iter().enumerate() {
            let number = at + 1;
            let entry =
                entry.as_object().ok_or(format!("holds a rule ({number}) that is no section"))?;
            rules.add(entry).map_err(|problem| format!("rule {number}: {problem}"))?;
        }
        rules.rules.extend(built_in());
        Ok(rules)
    }

    fn add(&mut self, entry: &Map<String, Value>) -> Result<(), String> {
        const NAMES: &str = "rooms, join, emit, presence, events, latest; or broadcast alone";
        if let Some(broadcast) = entry.get("broadcast") {
            if entry.len() > 1 {
                return Err("broadcast stands alone in its rule, without rooms".into());
            }
            self.broadcast = who(broadcast, "broadcast")?;
            return Ok(());
        }
        let known = ["rooms", "join", "emit", "presence", "events", "latest"];
        if let Some(unknown) = entry.keys().find(|name| !known.contains(&name.as_str())) {
            let unknown: String = unknown.chars().take(40).collect();
            return Err(format!("{unknown:?} is not known; allowed: {NAMES}"));
        }
        let pattern = entry.get("rooms").and_then(Value::as_str).unwrap_or_default();
        let stem = pattern.strip_suffix('*').unwrap_or(pattern);
        if pattern.is_empty() || stem.contains('*') {
            return Err("rooms is a room's name, or its beginning and a *".into());
        }
        let allow = |name: &str| entry.get(name).map_or(Ok(Who::Users), |value| who(value, name));
        let events = match entry.get("events") {
            None => None,
            Some(list) => Some(names(list).ok_or("events is a list of names")?),
        };
        let latest = match entry.get("latest") {
            None => false,
            Some(latest) => latest.as_bool().ok_or("latest is true or false")?,
        };
        self.rules.push(Rule {
            pattern: pattern.into(),
            join: allow("join")?,
            emit: allow("emit")?,
            presence: allow("presence")?,
            events,
            latest,
        });
        Ok(())
    }

    /// The rule for a room, if `user` asks.
    pub fn of(&self, room: &str, user: Option<&str>) -> Option<&Rule> {
        self.rules.iter().find(|rule| fits(&rule.pattern, room, user))
    }

    /// Whether only the newest event of a room counts.
    pub fn is_latest_only(&self, room: &str) -> bool {
        self.rules
            .iter()
            .find(|rule| fits_anybody(&rule.pattern, room))
            .is_some_and(|rule| rule.latest)
    }

    /// Whether somebody (`None` = nobody is known) may do something in a room.
    pub fn judge(&self, who: Option<&Identity>, role: &str, room: &str, action: Action) -> Verdict {
        let user = who.map(|identity| identity.user_id.as_str());
        let Some(found) = self.of(room, user) else { return Verdict::Denied };
        let limits = who.map_or(&[][..], |identity| &identity.room_patterns);
        if !limits.is_empty() && !limits.iter().any(|limit| grant::matches(limit, room)) {
            return Verdict::Denied;
        }
        let asked = match action {
            Action::Join => &found.join,
            Action::Emit => &found.emit,
            Action::Presence => &found.presence,
        };
        asked.judge(user.map(|_| role))
    }

    /// Whether clients may emit an event of this name in a room.
    pub fn takes_event(&self, user: Option<&str>, room: &str, event: &str) -> bool {
        let events = self.of(room, user).and_then(|rule| rule.events.as_ref());
        events.is_none_or(|events| events.iter().any(|name| name == event))
    }

    /// Whether somebody may speak to everybody. No host is asked.
    pub fn may_broadcast(&self, who: Option<&Identity>, role: &str) -> bool {
        self.broadcast.judge(who.map(|_| role)) == Verdict::Allowed
            && who.is_none_or(|identity| identity.room_patterns.is_empty())
    }
}

impl Who {
    /// `role` is `None` if nobody is known.
    fn judge(&self, role: Option<&str>) -> Verdict {
        let allowed = match (self, role) {
            (Self::Host, _) => return Verdict::AskHost,
            (Self::Anyone, _) | (Self::Users, Some(_)) => true,
            (Self::Nobody, _) | (_, None) => false,
            (Self::Admins, Some(role)) => role == ADMIN,
            (Self::Roles(roles), Some(role)) => roles.iter().any(|known| known == role),
        };
        if allowed { Verdict::Allowed } else { Verdict::Denied }
    }
}

fn who(value: &Value, key: &str) -> Result<Who, String> {
    let problem =
        || Err(format!("{key} is nobody, admins, users, anyone or host, or a list of role names"));
    match value {
        Value::Array(_) => names(value).map_or_else(problem, |roles| Ok(Who::Roles(roles))),
        Value::String(name) => match name.as_str() {
            "nobody" => Ok(Who::Nobody),
            "admins" => Ok(Who::Admins),
            "users" => Ok(Who::Users),
            "anyone" => Ok(Who::Anyone),
            "host" if key != "broadcast" => Ok(Who::Host),
            _ => problem(),
        },
        _ => problem(),
    }
}

fn names(list: &Value) -> Option<Vec<String>> {
    let list = list.as_array().filter(|list| list.len() <= ENTRIES_MAX)?;
    list.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether a pattern fits a room: its name, or its beginning and `*`; `{user}` is the id of who asks.
fn fits(pattern: &str, room: &str, user: Option<&str>) -> bool {
    match (pattern.contains(OWN_ID), user) {
        (false, _) => fits_text(pattern, room),
        (true, None) => false,
        (true, Some(user)) => {
            let (before, after) = pattern.split_once(OWN_ID).unwrap_or_default();
            let rest = room.strip_prefix(before).and_then(|rest| rest.strip_prefix(user));
            rest.is_some_and(|rest| fits_text(after, rest))
        }
    }
}

/// Whether a pattern fits a room for any user at all.
fn fits_anybody(pattern: &str, room: &str) -> bool {
    let Some((before, after)) = pattern.split_once(OWN_ID) else { return fits_text(pattern, room) };
    let Some(rest) = room.strip_prefix(before) else { return false };
    // An id has a character at least.
    rest.char_indices()
        .skip(1)
        .map(|(end, _)| end)
        .chain([rest.len()])
        .any(|end| end > 0 && rest.get(end..).is_some_and(|rest| fits_text(after, rest)))
}

fn fits_text(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => text.starts_with(stem),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn somebody(user: &str, patterns: &[&str]) -> Identity {
        Identity {
            user_id: user.into(),
            name: user.into(),
            role: String::new(),
            expires_at_ms: None,
            room_patterns: patterns.iter().map(|pattern| (*pattern).into()).collect(),
            api_user: None,
        }
    }

    fn may(rules: &Rules, token: &str, room: &str, action: Action) -> bool {
        let (role, user) = token.split_once(':').unwrap_or(("", ""));
        let identity = somebody(user, &[]);
        let who = (!token.is_empty()).then_some(&identity);
        rules.judge(who, role, room, action) == Verdict::Allowed
    }

    #[test]
    fn latest_holds_for_rooms_of_a_user() {
        let rules = serde_json::json!([
            { "rooms": "board:{user}:*", "latest": true },
            { "rooms": "{user}", "latest": true },
            { "rooms": "x:{user}:y", "latest": true },
        ]);
        let rules = Rules::parse(&rules).unwrap();
        for room in ["board:7:load", "board:7:", "7", "ü", "x:a:y:y", "x::y:y"] {
            assert!(rules.is_latest_only(room), "{room}");
        }
        let rules = Rules::parse(&serde_json::json!([{ "rooms": "x:{user}:y", "latest": true }]));
        let rules = rules.unwrap();
        for room in ["x::y", "x:y", "x:7:yy", "x:7", "y:x:7:y"] {
            assert!(!rules.is_latest_only(room), "{room}");
        }
    }

    #[test]
    fn the_defaults_are_careful() {
        use Action::{Emit, Join, Presence};
        let rules = Rules::default();
        for (token, room, action, allowed) in [
            ("", "public:news", Join, true),
            ("", "public:news", Emit, false),
            ("", "chat", Join, false),
            ("", "collection:todos", Join, false),
            ("", "collections", Join, false),
            ("viewer:7", "collection:todos", Join, true),
            ("viewer:7", "collection:todos", Emit, false),
            ("admin:1", "collections", Emit, false),
            ("viewer:7", "chat", Emit, true),
            ("viewer:7", "chat", Presence, true),
            ("viewer:7", "user:7", Join, true),
            ("viewer:7", "user:71", Join, false),
            ("viewer:7", "user:7/x", Join, false),
            ("admin:1", "user:7", Join, false),
            ("viewer:7", "system:metrics", Join, false),
            ("admin:1", "system:metrics", Join, true),
        ] {
            assert_eq!(may(&rules, token, room, action), allowed, "{token} {room} {action:?}");
        }
        assert!(!rules.may_broadcast(None, ""));
        assert!(!rules.may_broadcast(Some(&somebody("1", &[])), ADMIN));
        assert!(rules.is_latest_only("system:metrics") && !rules.is_latest_only("chat"));
    }

    #[test]
    fn configured_rules_come_first() {
        use Action::{Emit, Join};
        let rules = Rules::parse(&json!([
            { "rooms": "chat:staff", "join": ["clerk", "admin"], "events": ["message"] },
            { "rooms": "chat:*", "join": "anyone", "emit": "anyone" },
            { "rooms": "team:{user}:*", "join": "users" },
            { "rooms": "team:*", "join": "nobody" },
            { "rooms": "records:*", "join": "host" },
            { "broadcast": "admins" },
        ]))
        .unwrap();
        assert!(may(&rules, "clerk:3", "chat:staff", Join));
        assert!(!may(&rules, "viewer:3", "chat:staff", Join));
        assert!(may(&rules, "", "chat:all", Emit));
        assert!(may(&rules, "viewer:3", "team:3:x", Join));
        assert!(!may(&rules, "viewer:3", "team:33:x", Join));
        assert_eq!(rules.judge(None, "", "records:a", Join), Verdict::AskHost);
        assert!(rules.takes_event(None, "chat:staff", "message"));
        assert!(!rules.takes_event(None, "chat:staff", "other"));
        assert!(rules.takes_event(None, "chat:all", "other"));
        assert!(rules.may_broadcast(Some(&somebody("1", &[])), ADMIN));
        assert!(!rules.may_broadcast(Some(&somebody("1", &["chat:*"])), ADMIN));
        assert!(may(&rules, "", "public:a", Join), "ours follow");
    }

    #[test]
    fn a_token_limited_to_rooms_is_limited_here_too() {
        let rules = Rules::default();
        let who = somebody("7", &["chat:*"]);
        let judge = |room| rules.judge(Some(&who), "editor", room, Action::Join);
        assert_eq!(judge("chat:a"), Verdict::Allowed);
        assert_eq!((judge("talk:a"), judge("lobby")), (Verdict::Denied, Verdict::Denied));
    }

    #[test]
    fn wrong_rules_are_told() {
        for (value, part) in [
            (json!("x"), "is not a list"),
            (json!({}), "is not a list"),
            (json!([1]), "no section"),
            (json!([{}]), "rooms is"),
            (json!([{ "rooms": "a*b" }]), "rooms is"),
            (json!([{ "rooms": "a", "join": "all" }]), "join is nobody"),
            (json!([{ "rooms": "a", "joins": "users" }]), "\"joins\" is not known"),
            (json!([{ "rooms": "a", "emit": [1] }]), "emit is nobody"),
            (json!([{ "rooms": "a", "events": "x" }]), "events is a list"),
            (json!([{ "rooms": "a", "latest": "x" }]), "latest is"),
            (json!([{ "broadcast": "host" }]), "broadcast is"),
            (json!([{ "broadcast": "users", "rooms": "a" }]), "stands alone"),
        ] {
            let problem = Rules::parse(&value).unwrap_err();
            assert!(problem.contains(part), "{value}: {problem}");
        }
    }
}
