//! The npm chain as a child process, and what it says about one text.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

/// What the npm chain makes of one text or tree.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The text, if the case is one.
    pub(crate) markdown: Option<String>,
    /// The document as `ProseMirror` writes it.
    pub(crate) tree: Value,
    /// What its serializer writes.
    pub(crate) written: String,
    /// What it writes once that is read and written again.
    pub(crate) again: String,
    /// What its serializer writes of what the shared document holds.
    pub(crate) shared: String,
    /// The shared document.
    pub(crate) update: Vec<u8>,
}

/// Runs a suite and hands over its cases one by one.
pub(crate) fn each(arguments: &[&str], mut check: impl FnMut(Case)) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/markdown/npm/oracle.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is needed, and what `npm install` brings");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    for line in lines {
        check(Case::read(&line.unwrap()));
        count += 1;
    }
    assert!(child.wait().unwrap().success(), "the npm chain failed; was `npm install` run?");
    assert!(count > 0, "the npm chain said nothing");
}

impl Case {
    fn read(line: &str) -> Self {
        let mut case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        Self {
            name: text("name"),
            markdown: case["markdown"].as_str().map(str::to_owned),
            written: text("written"),
            again: text("again"),
            shared: text("shared"),
            update: BASE64_STANDARD.decode(text("update")).unwrap(),
            tree: case["tree"].take(),
        }
    }
}
