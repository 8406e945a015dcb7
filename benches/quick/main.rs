//! `npm run bench:quick`: what a delivery, an idle connection and a connect cost our engine, and what they
//! cost a bare WebSocket relay on the same stack, interleaved in one run.
//!
//! This process generates the load and checks it; each measured server is a child of it (the same binary with
//! `--serve`), on a core of its own. A *delivery* is one edit that reached one other client. CPU is that of
//! all threads of the server, kernel included, and of the store's commits. Ratios count, not absolute
//! numbers: those belong to the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measuring tool: it ends at the first thing that is not as expected"
)]

mod child;
mod edits;
mod engine_server;
mod fan_out;
mod idle;
mod machine;
mod options;
mod peer;
mod relay_server;
mod report;

use std::{process::ExitCode, rc::Rc};

use child::{Child, Kind};
use options::Options;
use report::Report;
use tokio::task::LocalSet;

const GENERATOR_CPU: usize = 1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, kind, ..] = arguments.as_slice()
        && serve == "--serve"
    {
        child::serve(Kind::parse(kind));
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments) {
        Ok(options) => run(&options),
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> ExitCode {
    let pinned = machine::pin(GENERATOR_CPU);
    let files = machine::raise_open_files();
    let idle = options.idle.min(files.saturating_sub(200));
    if idle < options.idle {
        println!(
            "Only {files} open files are allowed: {idle} idle connections, not {}",
            options.idle
        );
    }
    println!("{}", if pinned { "server on CPU 0, generator on CPU 1" } else { "not pinned" });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = Report::default();
    for round in 0..options.rounds {
        // Who goes first takes turns, so that neither always meets the warmer machine.
        let order = if round % 2 == 0 { Kind::ALL } else { [Kind::Relay, Kind::Engine] };
        for &clients in &options.clients {
            for paced in [false, true] {
                if !options.wants(if paced { "paced" } else { "saturated" }) {
                    continue;
                }
                let load = Rc::new(fan_out::Load::new(clients, paced, options.edits));
                for kind in order {
                    let child = Child::start(kind);
                    let figures =
                        LocalSet::new().block_on(&runtime, fan_out::run(&child, kind, &load));
                    report.fan_out(kind, &load, &figures);
                }
            }
        }
        if options.wants("idle") && idle > 0 {
            for kind in order {
                let child = Child::start(kind);
                let figures = LocalSet::new().block_on(&runtime, idle::run(&child, kind, idle));
                report.idle(kind, &figures);
            }
        }
    }
    report.print(options.rounds);
    ExitCode::SUCCESS
}
