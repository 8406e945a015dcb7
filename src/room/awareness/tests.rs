use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    limits::{AWARENESS_BYTES_PER_ROOM_MAX, AWARENESS_IDS_PER_ROOM_MAX, CLIENT_ID_MAX},
    protocol::lib0::Reader,
};

const A: SessionId = SessionId(1);
const B: SessionId = SessionId(2);
const C: SessionId = SessionId(3);

fn table() -> AwarenessTable {
    AwarenessTable::new(8, 1024)
}

fn body(entries: &[(u64, u64, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    write_var_uint(&mut out, entries.len() as u64);
    for (id, clock, json) in entries {
        write_var_uint(&mut out, *id);
        write_var_uint(&mut out, *clock);
        write_string(&mut out, json);
    }
    out
}

fn say(
    table: &mut AwarenessTable,
    session: SessionId,
    id: u64,
    clock: u64,
    json: &str,
    now_ms: u64,
) -> Applied {
    table.apply(session, &body(&[(id, clock, json)]), now_ms).unwrap()
}

fn state(table: &AwarenessTable, id: u64) -> Option<(SessionId, String)> {
    table
        .living()
        .find(|(living, ..)| *living == id)
        .map(|(_, owner, json)| (owner, json.to_owned()))
}

fn entries(body: &[u8]) -> Vec<(u64, u64, String)> {
    let mut reader = Reader::new(body);
    let count = reader.var_uint().unwrap();
    (0..count)
        .map(|_| {
            (
                reader.var_uint().unwrap(),
                reader.var_uint().unwrap(),
                reader.string().unwrap().to_owned(),
            )
        })
        .collect()
}

/// A y-protocols client: the receiving rule of `applyAwarenessUpdate`, and its own state.
#[derive(Debug, Default)]
struct Client {
    me: u64,
    meta: HashMap<u64, u64>,
    states: HashMap<u64, String>,
}

impl Client {
    fn new(me: u64) -> Self {
        Self { me, meta: HashMap::from([(me, 0)]), states: HashMap::from([(me, "{}".into())]) }
    }

    /// Takes a body; returns what y-websocket's provider sends back: every id it changed.
    fn receive(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed = Vec::new();
        for (id, clock, json) in entries(bytes) {
            let known = self.meta.get(&id).copied().unwrap_or(0);
            let removes = json == "null";
            if known < clock || (known == clock && removes && self.states.contains_key(&id)) {
                let mut clock = clock;
                if removes {
                    if id == self.me && self.states.contains_key(&id) {
                        clock += 1;
                    } else {
                        self.states.remove(&id);
                    }
                } else {
                    self.states.insert(id, json);
                }
                self.meta.insert(id, clock);
                changed.push(id);
            }
        }
        (!changed.is_empty()).then(|| self.encode(&changed))
    }

    fn set(&mut self, json: &str) -> Vec<u8> {
        *self.meta.entry(self.me).or_default() += 1;
        self.states.insert(self.me, json.into());
        self.hello()
    }

    fn hello(&self) -> Vec<u8> {
        self.encode(&[self.me])
    }

    fn goodbye(&self) -> Vec<u8> {
        body(&[(self.me, self.meta[&self.me], "null")])
    }

    fn encode(&self, ids: &[u64]) -> Vec<u8> {
        let entries: Vec<_> = ids
            .iter()
            .map(|id| (*id, self.meta[id], self.states.get(id).map_or("null", String::as_str)))
            .collect();
        body(&entries)
    }
}

/// Clients around one table, with frames in flight both ways.
struct World {
    table: AwarenessTable,
    clients: Vec<(SessionId, Client)>,
    to_server: VecDeque<(usize, Vec<u8>)>,
    to_client: VecDeque<(usize, Vec<u8>)>,
    frames: usize,
}

impl World {
    fn new(clients: usize) -> Self {
        let clients = (0..clients as u64).map(|n| (SessionId(n), Client::new(100 + n))).collect();
        Self {
            table: table(),
            clients,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            frames: 0,
        }
    }

    fn announce(&mut self, ids: &[u64], besides: Option<usize>) {
        let Some(frame) = self.table.encode(ids) else { return };
        for at in 0..self.clients.len() {
            if Some(at) != besides {
                self.to_client.push_back((at, frame.clone()));
            }
        }
    }

    fn serve(&mut self) {
        let Some((at, frame)) = self.to_server.pop_front() else { return };
        self.frames += 1;
        let applied = self.table.apply(self.clients[at].0, &frame, 0).unwrap();
        self.announce(&applied.changed, (!applied.bumped_for_sender).then_some(at));
    }

    fn deliver(&mut self) {
        let Some((at, frame)) = self.to_client.pop_front() else { return };
        if let Some(answer) = self.clients[at].1.receive(&frame) {
            self.to_server.push_back((at, answer));
        }
    }

    /// The socket of a client breaks and comes back under a new session: its frames under way are lost.
    fn reconnect(&mut self, at: usize, session: SessionId) {
        self.to_server.retain(|(from, _)| *from != at);
        self.to_client.retain(|(to, _)| *to != at);
        let gone = self.table.remove_session(self.clients[at].0, 0);
        self.announce(&gone, Some(at));
        self.clients[at].0 = session;
        let client = &mut self.clients[at].1;
        let me = client.me;
        client.states.retain(|id, _| *id == me);
        let hello = client.hello();
        self.to_server.push_back((at, hello));
        if let Some(all) = self.table.encode_all_living() {
            self.to_client.push_back((at, all));
        }
    }

    fn settle(&mut self) {
        for _ in 0..20_000 {
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            self.serve();
            self.deliver();
        }
        panic!("frames echo for ever");
    }
}

#[test]
fn check_17_a_closed_socket_removes_exactly_its_ids_with_the_clock_receivers_accept() {
    let mut table = table();
    say(&mut table, A, 1, 5, "{}", 0);
    say(&mut table, B, 2, 7, "{}", 0);
    assert_eq!(table.remove_session(A, 10), [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 5, "null".to_owned())]);
    assert_eq!(entries(&table.encode_all_living().unwrap()), [(2, 7, "{}".to_owned())]);
    assert!(table.remove_session(A, 11).is_empty());
}

#[test]
fn check_18_leave_and_rejoin_with_the_same_id_while_another_stays() {
    let mut table = table();
    say(&mut table, B, 2, 1, "{}", 0);
    say(&mut table, A, 1, 4, "{\"n\":1}", 0);
    assert_eq!(table.remove_session(A, 1), [1]);
    let back = say(&mut table, C, 1, 5, "{\"n\":2}", 2);
    assert!(back.urgent && !back.bumped_for_sender);
    assert_eq!(table.remove_session(C, 3), [1]);
    assert_eq!(state(&table, 1), None);
    assert!(state(&table, 2).is_some());
}

#[test]
fn check_18_the_old_half_open_socket_does_not_remove_the_new_state() {
    for (clock, json) in [(4, "{\"old\":1}"), (5, "{\"new\":1}")] {
        let mut table = table();
        table.register(A, "ann");
        table.register(B, "ann");
        say(&mut table, A, 1, 4, "{\"old\":1}", 0);
        // At once after the last sign of life the owner keeps the id, but has an heir.
        let joined = say(&mut table, B, 1, clock, json, 100);
        assert_eq!((joined.changed.len(), joined.dropped), (0, 0));
        assert_eq!(table.remove_session(A, 200), [1]);
        assert_eq!(state(&table, 1), Some((B, json.to_owned())));
        assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 5, json.to_owned())]);
        assert_eq!(table.remove_session(B, 300), [1]);
        assert_eq!(state(&table, 1), None);
    }
}

#[test]
fn check_18_a_silent_owner_yields_at_once_and_its_end_changes_nothing() {
    let mut table = table();
    say(&mut table, A, 1, 4, "{\"old\":1}", 0);
    let joined = say(&mut table, B, 1, 4, "{\"old\":1}", TAKEOVER_SILENCE_MS);
    assert!(joined.urgent && joined.bumped_for_sender);
    assert_eq!(state(&table, 1).unwrap().0, B);
    assert!(table.remove_session(A, 4000).is_empty());
    assert_eq!(state(&table, 1).unwrap().0, B);
}

#[test]
fn check_18_an_heir_follows_a_silent_owner_with_the_next_tick_and_may_withdraw() {
    let mut table = table();
    say(&mut table, A, 1, 4, "{}", 0);
    say(&mut table, B, 1, 4, "{}", 10);
    assert_eq!(table.expire(20), [0u64; 0]);
    assert_eq!(table.expire(TAKEOVER_SILENCE_MS), [1]);
    assert_eq!(state(&table, 1).unwrap().0, B);
    say(&mut table, C, 1, 9, "{}", TAKEOVER_SILENCE_MS);
    say(&mut table, C, 1, 9, "null", TAKEOVER_SILENCE_MS);
    assert_eq!(table.remove_session(B, 4000), [1]);
    assert_eq!(state(&table, 1), None);
}

#[test]
fn nobody_speaks_for_another_principal() {
    let mut table = table();
    table.register(A, "ann");
    table.register(B, "mallory");
    say(&mut table, A, 1, 4, "{\"ann\":1}", 0);
    for now_ms in [1, TAKEOVER_SILENCE_MS, 20_000] {
        assert_eq!(say(&mut table, B, 1, 50 + now_ms, "{\"forged\":1}", now_ms).dropped, 1);
        assert_eq!(say(&mut table, B, 1, 60 + now_ms, "null", now_ms).dropped, 1);
    }
    assert_eq!(state(&table, 1), Some((A, "{\"ann\":1}".to_owned())));
    assert_eq!(table.remove_session(B, 20_001), [0u64; 0]);
    table.remove_session(A, 20_002);
    assert_eq!(state(&table, 1), None);
}

#[test]
fn check_19_rejoin_with_the_same_clock_is_raised_also_for_the_sender() {
    let mut table = table();
    say(&mut table, A, 1, 7, "{}", 0);
    table.remove_session(A, 1);
    let back = say(&mut table, B, 1, 7, "{}", 2);
    assert!(back.bumped_for_sender && back.urgent);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 8, "{}".to_owned())]);
    // The sender adopts clock 8; its provider sends that back once, and nothing more happens.
    assert_eq!(say(&mut table, B, 1, 8, "{}", 3), Applied::default());
    let next = say(&mut table, B, 1, 9, "{\"x\":1}", 4);
    assert!(!next.bumped_for_sender && next.changed == [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 9, "{\"x\":1}".to_owned())]);
}

#[test]
fn check_19_a_clock_of_zero_is_seen_by_everyone() {
    let mut table = table();
    let first = say(&mut table, A, 1, 0, "{}", 0);
    assert!(first.bumped_for_sender && first.urgent && first.changed == [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 1, "{}".to_owned())]);
    // The client went on before it heard of that.
    let second = say(&mut table, A, 1, 1, "{\"user\":1}", 1);
    assert_eq!(second.changed, [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 2, "{\"user\":1}".to_owned())]);
}

#[test]
fn check_19_renewals_keep_a_state_and_silence_ends_it() {
    let mut table = table();
    say(&mut table, A, 1, 1, "{}", 0);
    assert_eq!(say(&mut table, A, 1, 2, "{}", 15_000).changed, [1]);
    assert_eq!(table.expire(44_999), [0u64; 0]);
    assert_eq!(table.expire(45_000), [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 2, "null".to_owned())]);
    assert_eq!(table.len(), 1);
    table.expire(45_000 + AWARENESS_TOMBSTONE_MS);
    assert!(table.is_empty());
}

#[test]
fn check_20_same_clocks_and_echoes_of_others_are_not_sent_on() {
    let mut table = table();
    say(&mut table, A, 1, 3, "{}", 0);
    say(&mut table, B, 2, 1, "{}", 0);
    for (session, clock, json) in
        [(A, 3, "{}"), (A, 2, "{}"), (B, 3, "{}"), (B, 4, "{}"), (B, 3, "null")]
    {
        let applied = say(&mut table, session, 1, clock, json, 1);
        assert_eq!((applied.changed.len(), applied.dropped), (0, 1), "{session:?} {clock} {json}");
    }
}

#[test]
fn check_21_relayed_ids_do_not_change_owners_and_a_closing_tab_keeps_the_other() {
    let mut table = table();
    say(&mut table, A, 1, 3, "{}", 0);
    say(&mut table, B, 2, 1, "{}", 0);
    let both = table.apply(B, &body(&[(1, 9, "{\"relayed\":1}"), (2, 2, "{}")]), 1).unwrap();
    assert_eq!((both.changed, both.dropped), (vec![2], 1));
    assert_eq!(table.remove_session(B, 2), [2]);
    assert_eq!(state(&table, 1), Some((A, "{}".to_owned())));
}

#[test]
fn check_21_a_late_relay_does_not_bring_back_who_left() {
    let mut table = table();
    say(&mut table, B, 2, 1, "{}", 0);
    say(&mut table, A, 1, 3, "{}", 0);
    table.remove_session(A, 1);
    assert_eq!(say(&mut table, B, 1, 3, "{}", 2).dropped, 1);
    assert_eq!(say(&mut table, B, 1, 3, "null", 2).dropped, 1);
    assert_eq!(state(&table, 1), None);
    // A tab whose only way to the server is another tab does get in.
    assert_eq!(say(&mut table, B, 3, 1, "{}", 2).changed, [3]);
}

#[test]
fn check_21_ids_per_session_and_per_room_are_bounded() {
    let mut table = AwarenessTable::new(2, 64);
    let applied = table.apply(A, &body(&[(1, 1, "{}"), (2, 1, "{}"), (3, 1, "{}")]), 0).unwrap();
    assert_eq!((applied.changed, applied.dropped), (vec![1, 2], 1));
    for id in 0..AWARENESS_IDS_PER_ROOM_MAX as u64 + 50 {
        say(&mut table, B, 10 + id, 1, "{}", id);
        say(&mut table, B, 10 + id, 1, "null", id);
    }
    assert_eq!(table.len(), AWARENESS_IDS_PER_ROOM_MAX);
    assert_eq!(table.living().count(), 2);
    assert!(table.encode(&[10]).is_none(), "the oldest grave goes first");
}

#[test]
fn other_nodes_speak_for_many() {
    let mut table = AwarenessTable::new(1, 64);
    table.register_node(A);
    assert_eq!(table.apply(A, &body(&[(1, 1, "{}"), (2, 1, "{}")]), 0).unwrap().changed, [1, 2]);
}

#[test]
fn malformed_messages_are_refused_whole() {
    let mut table = table();
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let long = format!("\"{}\"", "x".repeat(1024));
    for (bytes, refusal) in [
        (vec![], AwarenessRefusal::Truncated),
        (vec![0x80, 0x80, 0x80, 0x80, 0x01], AwarenessRefusal::Truncated),
        (vec![1, 1, 1], AwarenessRefusal::Truncated),
        (vec![0, 0], AwarenessRefusal::Trailing),
        (vec![1, 1, 1, 1, 0xff], AwarenessRefusal::Utf8),
        (vec![0xff; 12], AwarenessRefusal::Integer),
        (body(&[(1, 1, "{}"), (2, 1, "{oops")]), AwarenessRefusal::Json),
        (body(&[(1, 1, "")]), AwarenessRefusal::Json),
        (body(&[(1, 1, &deep)]), AwarenessRefusal::Depth),
        (body(&[(1, 1, "[]")]), AwarenessRefusal::NotObject),
        (body(&[(1, 1, " \"x\"")]), AwarenessRefusal::NotObject),
        (body(&[(1, 1, "7")]), AwarenessRefusal::NotObject),
        (body(&[(1, 1, "{}{}")]), AwarenessRefusal::Json),
        (body(&[(1, 1, "NaN")]), AwarenessRefusal::Json),
        (body(&[(1, 1, &long)]), AwarenessRefusal::TooLarge),
    ] {
        assert_eq!(table.apply(A, &bytes, 0), Err(refusal), "{bytes:?}");
    }
    assert!(table.is_empty());
    assert_eq!(table.apply(A, &[0], 0), Ok(Applied::default()));
}

#[test]
fn the_states_of_a_room_are_bounded_in_bytes() {
    let state_bytes = 64 * 1024;
    let mut table = AwarenessTable::new(usize::MAX, state_bytes);
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(state_bytes - 8));
    for id in 0..40 {
        say(&mut table, A, id, 1, &large, 0);
    }
    assert_eq!(table.living().count(), AWARENESS_BYTES_PER_ROOM_MAX / state_bytes);
    assert_eq!(say(&mut table, B, 99, 1, &large, 0).dropped, 1);
    assert_eq!(say(&mut table, B, 99, 1, "{}", 0).dropped, 1, "full is full");
    // Who is in can still move, and who leaves makes room.
    assert_eq!(say(&mut table, A, 1, 2, &large, 0).dropped, 0);
    assert_eq!(say(&mut table, A, 2, 2, "{}", 0).dropped, 0);
    assert_eq!(say(&mut table, B, 99, 1, "{}", 0).dropped, 0);
    table.remove_session(A, 1);
    assert_eq!(table.bytes, 2);
    table.remove_session(B, 1);
    assert_eq!(table.bytes, 0);
}

#[test]
fn a_stamped_session_speaks_under_its_own_name() {
    let mut table = table();
    table.register(A, "7");
    table.stamp(A, "Ann", "7");
    let first = say(&mut table, A, 1, 0, "{\"user\":{\"name\":\"Mayor\",\"color\":\"red\"}}", 0);
    assert!(first.bumped_for_sender);
    let state = "{\"user\":{\"color\":\"red\",\"name\":\"Ann\",\"id\":\"7\"}}";
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 1, state.to_owned())]);
    // The sender adopts that; its echo is known and goes nowhere.
    assert_eq!(say(&mut table, A, 1, 1, state, 1), Applied::default());
}

#[test]
fn a_dead_sockets_id_does_not_make_its_next_user_an_heir() {
    let mut table = table();
    table.register(A, "ann");
    table.register(B, "ben");
    say(&mut table, A, 1, 9, "{\"user\":\"ann\"}", 0);
    table.remove_session(A, 1);
    // An id is a random number: once free, another may draw it.
    let taken = say(&mut table, B, 1, 0, "{\"user\":\"ben\"}", 2);
    assert!(taken.bumped_for_sender && taken.changed == [1]);
    assert_eq!(entries(&table.encode(&[1]).unwrap()), [(1, 10, "{\"user\":\"ben\"}".to_owned())]);
    // What is left of the first user's frames counts no more.
    table.register(A, "ann");
    assert_eq!(say(&mut table, A, 1, 50, "null", 3).dropped, 1);
    assert_eq!(say(&mut table, A, 1, 51, "{}", 3).dropped, 1);
    assert_eq!(state_of(&table), "{\"user\":\"ben\"}");
}

fn state_of(table: &AwarenessTable) -> String {
    state(table, 1).unwrap().1
}

#[test]
fn the_largest_clock_is_not_passed() {
    let mut table = table();
    say(&mut table, A, 1, CLIENT_ID_MAX, "{}", 0);
    assert_eq!(say(&mut table, A, 1, CLIENT_ID_MAX, "null", 1).changed, [1]);
    assert_eq!(say(&mut table, A, 1, CLIENT_ID_MAX, "{}", 2).dropped, 1);
    assert_eq!(entries(&table.encode(&[1]).unwrap())[0].1, CLIENT_ID_MAX);
}

proptest! {
    /// Whatever happens in whatever order, everybody ends up seeing what the table holds, each client's own
    /// last state stands, and the echoes of all providers come to an end.
    #[test]
    fn receivers_converge_to_the_table(
        steps in proptest::collection::vec((0usize..3, 0u8..12), 1..60)
    ) {
        let mut world = World::new(3);
        let mut sessions = 100;
        for at in 0..3 {
            let hello = world.clients[at].1.hello();
            world.to_server.push_back((at, hello));
        }
        for (n, (at, what)) in steps.iter().enumerate() {
            match what {
                0..=2 => {
                    let frame = world.clients[*at].1.set(&format!("{{\"n\":{n}}}"));
                    world.to_server.push_back((*at, frame));
                }
                3 => {
                    sessions += 1;
                    world.reconnect(*at, SessionId(sessions));
                }
                4 => {
                    let frame = world.clients[*at].1.goodbye();
                    world.to_server.push_back((*at, frame));
                    let hello = world.clients[*at].1.hello();
                    world.to_server.push_back((*at, hello));
                }
                5..=8 => world.serve(),
                _ => world.deliver(),
            }
        }
        world.settle();
        // A client that reconnects remembers the clocks of those it dropped, and ignores their states at the
        // same clocks; the renewal that each client sends every 15 s ends that.
        for at in 0..3 {
            let client = &mut world.clients[at].1;
            let mine = client.states[&client.me].clone();
            let frame = client.set(&mine);
            world.to_server.push_back((at, frame));
        }
        world.settle();
        let truth: HashMap<u64, String> =
            world.table.living().map(|(id, _, json)| (id, json.to_owned())).collect();
        prop_assert_eq!(truth.len(), 3);
        for (session, client) in &world.clients {
            prop_assert_eq!(&client.states, &truth, "{:?}", session);
        }
        prop_assert!(world.frames < 40 * (steps.len() + 10), "{} frames", world.frames);
    }

    #[test]
    fn any_bytes_are_applied_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = table().apply(A, &bytes, 0);
    }
}
