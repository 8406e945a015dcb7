//! The reference of all keys in Markdown, the second part of `docs/configuration.md`.

use std::fmt::Write;

use super::keys::{self, Key, State};

/// What stands in the document before the reference; what follows is written by
/// `cargo run --example config_reference`.
pub const REFERENCE_MARK: &str =
    "<!-- The rest is written by `cargo run --example config_reference`. -->\n";

/// A table per section, then the keys that are known and not built.
pub fn reference() -> String {
    let mut out = String::new();
    let mut open = None;
    for key in keys::all().iter().filter(|key| key.is_available()) {
        let section = key.path.split_once('.').map_or("", |(section, _)| section);
        if open != Some(section) {
            let title = if section.is_empty() { "Top level" } else { &format!("`{section}`") };
            let blank = if open.is_some() { "\n" } else { "" };
            push(&mut out, format_args!("{blank}### {title}\n\n"));
            push(
                &mut out,
                format_args!("| key | default | unit | meaning | values | variable |\n"),
            );
            push(&mut out, format_args!("| --- | --- | --- | --- | --- | --- |\n"));
            open = Some(section);
        }
        let default = if key.default.is_empty() { "" } else { &format!("`{}`", key.default) };
        push(
            &mut out,
            format_args!(
                "| `{}` | {default} | {} | {} | {} | `{}` |\n",
                key.path,
                key.kind.unit(),
                cell(key.doc),
                cell(&key.kind.allowed()),
                key.env_name()
            ),
        );
    }
    out.push_str("\n## Known and not built\n\n");
    out.push_str("| key | default | meaning | set to anything else |\n| --- | --- | --- | --- |\n");
    for key in keys::all() {
        let Some(answer) = answer(key) else { continue };
        let default = if key.default.is_empty() { "" } else { &format!("`{}`", key.default) };
        let meaning = cell(key.doc);
        push(&mut out, format_args!("| `{}` | {default} | {meaning} | {answer} |\n", key.path));
    }
    out
}

fn answer(key: &Key) -> Option<&'static str> {
    match key.state {
        State::Built(_) => None,
        State::Later(_) => Some("a warning"),
        State::Silent => Some("nothing"),
        State::Refused => Some("refused"),
    }
}

/// A bar would end the cell, an angle bracket begin a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
