//! Groups 1 to 7 and 10 of crossbario's Autobahn cases, after their descriptions, against the engine's own
//! socket. The numbers in the names are theirs. 8 (HTTP) is `front_door.rs`, 9 performance, 12 and 13 are about
//! compression, which is never negotiated.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::LazyLock,
    time::Duration,
};

use crate::support::echo;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const FIN: u8 = 0x80;

static ECHO: LazyLock<SocketAddr> = LazyLock::new(|| {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            echo::serve(listener).await;
        });
    });
    told.recv().unwrap()
});

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug)]
enum Chop {
    Whole,
    Every(usize),
}

struct Peer {
    stream: TcpStream,
    sent: Vec<u8>,
}

/// What the server sends.
#[derive(Debug, PartialEq)]
enum Got {
    Frame(u8, Vec<u8>),
    End,
}

impl Peer {
    fn new() -> Self {
        let mut stream = TcpStream::connect(*ECHO).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Self { stream, sent: Vec::new() }
    }

    /// Queues a masked frame whose first byte (FIN, reserved bits, opcode) is `first`.
    fn frame(mut self, first: u8, payload: &[u8]) -> Self {
        let mask = [0x5a, 0x01, 0xff, 0x80];
        self.sent.push(first);
        match payload.len() {
            short @ 0..126 => self.sent.push(0x80 | u8::try_from(short).unwrap()),
            medium @ 126..0x1_0000 => {
                self.sent.push(0xfe);
                self.sent.extend(u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                self.sent.push(0xff);
                self.sent.extend(u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        self.sent.extend(mask);
        self.sent.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        self
    }

    fn text(self, payload: &[u8]) -> Self {
        self.frame(FIN | TEXT, payload)
    }

    /// Sends what is queued.
    fn go(mut self, chop: Chop) -> Self {
        let size = match chop {
            Chop::Whole => self.sent.len().max(1),
            Chop::Every(size) => size,
        };
        for part in self.sent.chunks(size) {
            // The server may have closed already, and rightly so.
            if self.stream.write_all(part).is_err() {
                break;
            }
        }
        self.sent.clear();
        self
    }

    fn next(&mut self) -> Got {
        let mut head = [0; 2];
        if self.stream.read_exact(&mut head).is_err() {
            return Got::End;
        }
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let mut bytes = [0; 2];
                self.stream.read_exact(&mut bytes).unwrap();
                u16::from_be_bytes(bytes).into()
            }
            127 => {
                let mut bytes = [0; 8];
                self.stream.read_exact(&mut bytes).unwrap();
                usize::try_from(u64::from_be_bytes(bytes)).unwrap()
            }
            short => short.into(),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        Got::Frame(head[0], payload)
    }

    #[track_caller]
    fn gets(mut self, opcode: u8, payload: &[u8]) -> Self {
        let got = self.next();
        let same =
            matches!(&got, Got::Frame(first, bytes) if *first == FIN | opcode && bytes == payload);
        assert!(same, "expected {opcode} with {} bytes, got {got:.200?}", payload.len());
        self
    }

    /// The server closes with this code, or without any, and ends the connection.
    #[track_caller]
    fn closes(mut self, code: Option<u16>) {
        let got = self.next();
        let Got::Frame(first, payload) = &got else { panic!("no close frame: {got:?}") };
        assert_eq!(*first, FIN | CLOSE, "{got:.200?}");
        let told = payload.get(..2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        assert_eq!(told, code, "{payload:?}");
        // What a client answers.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        assert_eq!(self.next(), Got::End);
    }

    /// Everything before was fine: a close is answered with its own code.
    #[track_caller]
    fn ends_well(self) {
        self.frame(FIN | CLOSE, &1000_u16.to_be_bytes()).go(Chop::Whole).closes(Some(1000));
    }
}

#[test]
fn group_1_frames_of_every_size_are_echoed() {
    for opcode in [TEXT, BINARY] {
        for (length, chop) in [
            (0, Chop::Whole),
            (125, Chop::Whole),
            (126, Chop::Whole),
            (127, Chop::Whole),
            (128, Chop::Whole),
            (65_535, Chop::Whole),
            (65_536, Chop::Whole),
            (65_536, Chop::Every(997)),
        ] {
            let payload = vec![if opcode == TEXT { b'*' } else { 0xfe }; length];
            Peer::new().frame(FIN | opcode, &payload).go(chop).gets(opcode, &payload).ends_well();
        }
    }
}

#[test]
fn group_2_pings_get_their_pongs() {
    let odd = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    for payload in [&b""[..], b"Hello, world!", &odd, &[0xfe; 125]] {
        for chop in [Chop::Whole, Chop::Every(1)] {
            Peer::new().frame(FIN | PING, payload).go(chop).gets(PONG, payload).ends_well();
        }
    }
    // 2.5
    Peer::new().frame(FIN | PING, &[0xfe; 126]).go(Chop::Whole).closes(Some(1002));
    // 2.7 to 2.9: pongs nobody asked for.
    Peer::new().frame(FIN | PONG, b"").go(Chop::Whole).ends_well();
    Peer::new().frame(FIN | PONG, b"unsolicited").go(Chop::Whole).ends_well();
    Peer::new()
        .frame(FIN | PONG, b"unsolicited")
        .frame(FIN | PING, b"ping")
        .go(Chop::Whole)
        .gets(PONG, b"ping")
        .ends_well();
    // 2.10 and 2.11
    for chop in [Chop::Whole, Chop::Every(1)] {
        let mut peer = Peer::new();
        for number in 0..10 {
            peer = peer.frame(FIN | PING, format!("payload-{number}").as_bytes());
        }
        peer = peer.go(chop);
        for number in 0..10 {
            peer = peer.gets(PONG, format!("payload-{number}").as_bytes());
        }
        peer.ends_well();
    }
}

#[test]
fn group_3_reserved_bits_end_with_1002() {
    for (rsv, opcode, payload) in [
        (1, TEXT, &b"Hello, world!"[..]),
        (2, TEXT, b"Hello, world!"),
        (3, TEXT, b"Hello, world!"),
        (4, TEXT, b"Hello, world!"),
        (5, BINARY, &[0, 0xff, 0xfe]),
        (6, PING, b"Hello, world!"),
        (7, CLOSE, &[]),
    ] {
        for chop in [Chop::Whole, Chop::Every(1)] {
            Peer::new()
                .text(b"small text")
                .frame(FIN | (rsv << 4) | opcode, payload)
                .frame(FIN | PING, b"")
                .go(chop)
                .gets(TEXT, b"small text")
                .closes(Some(1002));
        }
    }
}

#[test]
fn group_4_reserved_opcodes_end_with_1002() {
    for opcode in (3..8).chain(11..16) {
        for payload in [&b""[..], b"reserved opcode payload"] {
            Peer::new()
                .text(b"Hello, world!")
                .frame(FIN | opcode, payload)
                .frame(FIN | PING, b"")
                .go(Chop::Whole)
                .gets(TEXT, b"Hello, world!")
                .closes(Some(1002));
        }
    }
}

#[test]
fn group_5_fragments_make_one_message() {
    // 5.1 and 5.2: control frames are never fragmented.
    for opcode in [PING, PONG] {
        Peer::new()
            .frame(opcode, b"fragment1")
            .frame(FIN | CONTINUATION, b"fragment2")
            .go(Chop::Whole)
            .closes(Some(1002));
    }
    for chop in [Chop::Whole, Chop::Every(7), Chop::Every(1)] {
        // 5.3 to 5.5
        Peer::new()
            .frame(TEXT, b"fragment1")
            .frame(FIN | CONTINUATION, b"fragment2")
            .go(chop)
            .gets(TEXT, b"fragment1fragment2")
            .ends_well();
        // 5.6 to 5.8
        Peer::new()
            .frame(TEXT, b"fragment1")
            .frame(FIN | PING, b"ping payload")
            .frame(FIN | CONTINUATION, b"fragment2")
            .go(chop)
            .gets(PONG, b"ping payload")
            .gets(TEXT, b"fragment1fragment2")
            .ends_well();
        // 5.9 to 5.14: nothing to continue.
        for first in [FIN | CONTINUATION, CONTINUATION] {
            Peer::new()
                .frame(first, b"non-continuation payload")
                .text(b"Hello, world!")
                .go(chop)
                .closes(Some(1002));
        }
        // 5.15
        Peer::new()
            .frame(TEXT, b"fragment1")
            .frame(FIN | CONTINUATION, b"fragment2")
            .frame(CONTINUATION, b"fragment3")
            .frame(FIN | TEXT, b"fragment4")
            .go(chop)
            .gets(TEXT, b"fragment1fragment2")
            .closes(Some(1002));
        // 5.16 and 5.17
        for first in [CONTINUATION, FIN | CONTINUATION] {
            Peer::new()
                .frame(first, b"fragment1")
                .frame(TEXT, b"fragment2")
                .frame(FIN | CONTINUATION, b"fragment3")
                .go(chop)
                .closes(Some(1002));
        }
        // 5.18
        Peer::new().frame(TEXT, b"fragment1").text(b"fragment2").go(chop).closes(Some(1002));
        // 5.19 and 5.20
        Peer::new()
            .frame(TEXT, b"fragment1")
            .frame(CONTINUATION, b"fragment2")
            .frame(FIN | PING, b"pongme 1!")
            .frame(CONTINUATION, b"fragment3")
            .frame(CONTINUATION, b"fragment4")
            .frame(FIN | PING, b"pongme 2!")
            .frame(FIN | CONTINUATION, b"fragment5")
            .go(chop)
            .gets(PONG, b"pongme 1!")
            .gets(PONG, b"pongme 2!")
            .gets(TEXT, b"fragment1fragment2fragment3fragment4fragment5")
            .ends_well();
    }
}

/// Sends `payload` as one text message of fragments of `size` bytes.
fn fragmented(payload: &[u8], size: usize) -> Peer {
    let mut peer = Peer::new();
    let count = payload.chunks(size).count();
    for (index, part) in payload.chunks(size).enumerate() {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        peer = peer.frame(opcode | if index + 1 == count { FIN } else { 0 }, part);
    }
    peer
}

#[test]
fn group_6_text_is_utf8() {
    // 6.1: empty messages and fragments.
    Peer::new().text(b"").go(Chop::Whole).gets(TEXT, b"").ends_well();
    Peer::new()
        .frame(TEXT, b"")
        .frame(CONTINUATION, b"")
        .frame(FIN | CONTINUATION, b"")
        .go(Chop::Whole)
        .gets(TEXT, b"")
        .ends_well();
    Peer::new()
        .frame(TEXT, b"")
        .frame(CONTINUATION, b"middle frame payload")
        .frame(FIN | CONTINUATION, b"")
        .go(Chop::Whole)
        .gets(TEXT, b"middle frame payload")
        .ends_well();
    // 6.2, 6.5 to 6.23: sound text, whole and in fragments that cut characters.
    for text in [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{0}",
        "\u{80}",
        "\u{800}",
        "\u{10000}",
        "\u{7f}",
        "\u{7ff}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{fffe}",
    ] {
        let bytes = text.as_bytes();
        Peer::new().text(bytes).go(Chop::Whole).gets(TEXT, bytes).ends_well();
        fragmented(bytes, 1).go(Chop::Whole).gets(TEXT, bytes).ends_well();
        fragmented(bytes, 2).go(Chop::Every(1)).gets(TEXT, bytes).ends_well();
    }
    // 6.3, 6.4, 6.6 to 6.21: what is no UTF-8.
    for bytes in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\xce",
        b"\xce\xba\xe1",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0\x20\xc1\x20",
        b"\xe0\x20",
        b"\xf0\x20",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
    ] {
        Peer::new().text(bytes).go(Chop::Whole).closes(Some(1007));
        fragmented(bytes, 1).go(Chop::Every(1)).closes(Some(1007));
    }
}

#[test]
fn group_7_closes_are_answered_in_kind() {
    let close = |payload: &[u8]| Peer::new().frame(FIN | CLOSE, payload).go(Chop::Whole);
    let coded = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    // 7.1.1
    Peer::new().text(b"Hello World!").go(Chop::Whole).gets(TEXT, b"Hello World!").ends_well();
    // 7.1.2 to 7.1.5: nothing after a close counts.
    let normal = coded(1000, b"");
    for (first, payload) in [
        (FIN | CLOSE, &normal[..]),
        (FIN | PING, b"ping"),
        (FIN | TEXT, b"text"),
        (FIN | CONTINUATION, b"fragment"),
    ] {
        Peer::new()
            .frame(FIN | CLOSE, &normal)
            .frame(first, payload)
            .go(Chop::Whole)
            .closes(Some(1000));
    }
    Peer::new()
        .frame(TEXT, b"fragment1")
        .frame(FIN | CLOSE, &normal)
        .frame(FIN | CONTINUATION, b"fragment2")
        .go(Chop::Whole)
        .closes(Some(1000));
    // 7.1.6
    let large = vec![b'B'; 256 * 1024];
    Peer::new()
        .text(&large)
        .frame(FIN | CLOSE, &normal)
        .frame(FIN | PING, b"ping")
        .go(Chop::Whole)
        .gets(TEXT, &large)
        .closes(Some(1000));
    // 7.3
    close(b"").closes(None);
    close(b"a").closes(Some(1002));
    close(&normal).closes(Some(1000));
    close(&coded(1000, b"Hello World!")).closes(Some(1000));
    close(&coded(1000, &[b'*'; 123])).closes(Some(1000));
    close(&coded(1000, &[b'*'; 124])).closes(Some(1002));
    // 7.5.1
    close(&coded(1000, b"\xce\xba\xed\xa0\x80edited")).closes(Some(1007));
    // 7.7
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        close(&coded(code, b"")).closes(Some(code));
    }
    // 7.9 and 7.13
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        close(&coded(code, b"")).closes(Some(1002));
    }
}

#[test]
fn group_10_many_small_fragments_make_one_message() {
    let payload = vec![b'*'; 65_536];
    fragmented(&payload, 1300).go(Chop::Whole).gets(TEXT, &payload).ends_well();
    fragmented(&payload, 1300).go(Chop::Every(997)).gets(TEXT, &payload).ends_well();
}
