//! The editor's own packages in a child process, warm like ours: one round per line that it is sent.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

pub(crate) struct Chain {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Chain {
    pub(crate) fn start(text: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/markdown/npm.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed, and what `npm install` brings");
        let mut ask = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        writeln!(ask, "{}", serde_json::Value::from(text)).unwrap();
        Self { child, ask, answers }
    }

    pub(crate) fn round(&mut self) -> Vec<(&'static str, Duration)> {
        writeln!(self.ask).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let times: [f64; 4] = serde_json::from_str(&line).expect("four times");
        let steps = [
            "1 parse",
            "2 serialize",
            "3 parse, into a shared document",
            "4 read of a shared document",
        ];
        let times = times.map(|millis| Duration::from_secs_f64(millis / 1000.0));
        steps.into_iter().zip(times).collect()
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Our own child; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
