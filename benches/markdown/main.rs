//! `npm run bench:markdown`: what a record of a megabyte costs to read and to write, ours and the editor's own
//! packages in turns of one run; and what twice the text costs of what is known to be hard.
//!
//! Ratios count, not absolute numbers: those belong to the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_collect,
    reason = "a measuring tool: it ends at the first thing that is not as expected"
)]

mod npm;

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, time::Duration};

use civicpress_realtime::{
    markdown::{self, Naming},
    protocol::guard::{Bounds, admit},
    room::document::{Document, seed_update},
};

const RECORD_BYTES: usize = 1 << 20;
const ROUNDS: usize = 7;
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;

fn main() {
    let text = record();
    let blocks = markdown::parse(&text).content.len();
    println!(
        "a record of {} bytes, {blocks} blocks; ours: median of {ROUNDS} rounds, the npm chain once among them\n",
        text.len()
    );
    let mut ours: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut theirs: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut chain = npm::Chain::start(&text);
    for at in 0..ROUNDS {
        for (step, took) in round(&text) {
            ours.entry(step).or_default().push(took);
        }
        // Its serializer takes quadratic time, about a minute for a megabyte: once in the middle is enough.
        if at == ROUNDS / 2 {
            for (step, took) in chain.round() {
                theirs.entry(step).or_default().push(took);
            }
        }
    }
    println!("{:<34}{:>10}{:>12}{:>9}", "", "ours", "npm chain", "ratio");
    for (step, mut took) in ours {
        let ours = median(&mut took);
        match theirs.get_mut(step).map(|took| median(took)) {
            Some(npm) => {
                let ratio = npm.as_secs_f64() / ours.as_secs_f64();
                println!("{step:<34}{:>8.1}ms{:>10.1}ms{ratio:>8.1}x", millis(ours), millis(npm));
            }
            None => println!("{step:<34}{:>8.1}ms", millis(ours)),
        }
    }
    growth();
}

/// Municipal records, one after the other, up to a megabyte.
fn record() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/markdown/records");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let bodies: Vec<String> = paths
        .iter()
        .map(|path| markdown::split_front_matter(&fs::read_to_string(path).unwrap()).1.to_owned())
        .collect();
    let mut text = String::new();
    for body in bodies.iter().cycle() {
        if text.len() + body.len() > RECORD_BYTES {
            return text;
        }
        text.push_str(body);
        text.push_str("\n\n");
    }
    text
}

fn round(text: &str) -> Vec<(&'static str, Duration)> {
    let (tree, parse) = timed(|| markdown::parse(text));
    let (written, serialize) = timed(|| markdown::serialize(&tree));
    let (seed, to_shared) =
        timed(|| seed_update("records:bench", text, Naming::CivicPress).unwrap());
    let seed = admit(seed, &Bounds::new(DOCUMENT_BYTES_MAX)).unwrap();
    let mut document = Document::new(DOCUMENT_BYTES_MAX);
    document.apply(&seed, civicpress_realtime::room::document::Exact::NotWanted).unwrap();
    let (content, read) = timed(|| document.content().unwrap());
    let (state, encode) = timed(|| document.encode().unwrap());
    black_box((written, content, state));
    vec![
        ("1 parse", parse),
        ("2 serialize", serialize),
        ("3 parse, into a shared document", to_shared),
        ("4 read of a shared document", read),
        ("5 state (edits wait so long)", encode),
    ]
}

/// Makes a text of about so many bytes.
type Make = fn(usize) -> String;

/// How the time grows with the text: 2 is linear, 4 quadratic.
fn growth() {
    let hard: &[(&str, Make)] = &[
        ("quotes in quotes", |n| "> ".repeat(n / 2) + "x"),
        ("lists in lists", |n| "- ".repeat(n / 2) + "x"),
        ("brackets", |n| "[".repeat(n)),
        ("bracket pairs", |n| "[a](".repeat(n / 4)),
        ("stars", |n| "*".repeat(n)),
        ("stars and words", |n| "*a **b ".repeat(n / 7)),
        ("backticks", |n| {
            (1..)
                .map(|len| "`".repeat(len % 500) + "a")
                .scan(0, |sum, run| {
                    *sum += run.len();
                    (*sum < n).then_some(run)
                })
                .collect()
        }),
        ("open tags", |n| "<a ".repeat(n / 3)),
        ("comments", |n| "a <!--".repeat(n / 6)),
        ("entities", |n| "&a".repeat(n / 2)),
        ("pipes", |n| format!("|a|\n|-|\n{}", "|".repeat(n))),
        ("rows", |n| format!("|a|b|\n|-|-|\n{}", "|c|d|e|\n".repeat(n / 8))),
        ("definitions", |n| (0..n / 20).map(|at| format!("[a{at}]: /{at}\n")).collect()),
        ("uses of one definition", |n| format!("[a]: /x\n\n{}", "[a] ".repeat(n / 4))),
        ("lines of a paragraph", |n| "word  \n".repeat(n / 7)),
    ];
    println!(
        "\n{:<34}{:>10}{:>12}{:>9}",
        "twice the text, read and written", "512 KiB", "1 MiB", "times"
    );
    for (name, make) in hard {
        let cost = |bytes| {
            let text = make(bytes);
            let once = || timed(|| black_box(markdown::serialize(&markdown::parse(&text)))).1;
            (0..3).map(|_| once()).min().unwrap_or_default()
        };
        grown(name, cost(1 << 19), cost(1 << 20));
    }
    let replaced = |blocks: usize| {
        let side = |word: &str| {
            (0..blocks).map(|at| format!("{word} number {at} of the text.\n\n")).collect::<String>()
        };
        let (base, theirs) = (side("Paragraph"), side("Entirely other block"));
        let seed = admit(
            seed_update("records:bench", &base, Naming::CivicPress).unwrap(),
            &Bounds::new(DOCUMENT_BYTES_MAX),
        )
        .unwrap();
        let mut document = Document::new(DOCUMENT_BYTES_MAX);
        document.apply(&seed, civicpress_realtime::room::document::Exact::NotWanted).unwrap();
        timed(|| black_box(document.merge_outside(&base, &theirs).unwrap())).1
    };
    grown("20,000 blocks, all changed outside", replaced(10_000), replaced(20_000));
}

fn grown(name: &str, half: Duration, whole: Duration) {
    let times = whole.as_secs_f64() / half.as_secs_f64();
    println!("{name:<34}{:>8.1}ms{:>10.1}ms{times:>8.1}x", millis(half), millis(whole));
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let since = thread_time();
    let value = work();
    (value, thread_time().saturating_sub(since))
}

/// Time this thread ran, so that whatever else the machine does counts for nobody.
fn thread_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's /proc");
    let nanos = stat.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanos)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
