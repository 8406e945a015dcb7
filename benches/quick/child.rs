//! The measured server: this binary again, in a process of its own.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Command, Stdio},
};

use crate::{engine_server, machine, relay_server};

const SERVER_CPU: usize = 0;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our engine.
    Engine,
    /// The floor: a relay on the same stack that knows neither rights, documents nor storage.
    Relay,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Engine, Self::Relay];

    pub(crate) fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).expect("engine or relay")
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Relay => "relay",
        }
    }
}

/// Runs as the server until the parent closes our standard input.
pub(crate) fn serve(kind: Kind) {
    // Before the runtime is made: it counts the CPUs it may use.
    machine::pin(SERVER_CPU);
    machine::raise_open_files();
    let wait = |address: SocketAddr| {
        println!("{address}");
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
    };
    match kind {
        Kind::Engine => engine_server::serve(wait),
        Kind::Relay => relay_server::serve(wait),
    }
}

/// A running server; ended when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Child {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--serve", kind.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("the server's address");
        Self { process, address }
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        machine::cpu_seconds(self.process.id())
    }

    pub(crate) fn resident_kb(&self) -> f64 {
        machine::resident_kb(self.process.id())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
