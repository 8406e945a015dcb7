//! Record ids and file names: which ids may name a file, and which file has which id.

use std::path::{Component, Path, PathBuf};

use crate::ids::RoomId;

/// Longest segment, so that `.md` still fits a file name of 255 bytes.
const SEGMENT_BYTES_MAX: usize = 252;

/// Path of a record's file relative to the folder; `None` if the id may not name a file. `id` is the id of a
/// valid [`RoomId`].
pub(super) fn relative_path(id: &str) -> Option<PathBuf> {
    if !is_usable(id) {
        return None;
    }
    let path = PathBuf::from(format!("{id}.md"));
    // The last word belongs to the platform's own reading of the path.
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// Whether `id` may name a file here and on every system the folder may be copied to.
pub(super) fn is_usable(id: &str) -> bool {
    RoomId::new(super::RECORDS, id).is_ok() && id.split('/').all(is_usable_segment)
}

/// The id of the record at `relative`, if it is one.
pub(super) fn id_of(relative: &Path) -> Option<String> {
    let mut segments = Vec::new();
    for part in relative.components() {
        let Component::Normal(name) = part else { return None };
        segments.push(name.to_str()?);
    }
    let file = segments.pop()?.strip_suffix(".md")?;
    segments.push(file);
    let id = segments.join("/");
    is_usable(&id).then_some(id)
}

fn is_usable_segment(segment: &str) -> bool {
    let hidden = segment.starts_with('.');
    // Windows drops these letters and would open another file.
    let cut = segment.ends_with(['.', ' ']);
    let unknown_here = cfg!(windows) && segment.contains(['<', '>', ':', '"', '|', '?', '*']);
    let refused = hidden || cut || unknown_here || is_reserved(segment);
    !refused && segment.len() <= SEGMENT_BYTES_MAX
}

/// Names that are devices on Windows, with any extension.
fn is_reserved(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_are_each_others_inverse() {
        for id in
            ["a", "minutes/2026-03-council", "Règlement 12", "v1.2", "a/b/c", "console", "com"]
        {
            let path = relative_path(id).unwrap();
            assert_eq!(id_of(&path).as_deref(), Some(id));
        }
    }

    #[test]
    fn hostile_ids_name_no_file() {
        let long = "x".repeat(253);
        for id in [
            "",
            ".",
            "..",
            "../a",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a\\b",
            "a\0",
            "a\nb",
            ".git/config",
            ".hidden",
            "a/.hidden",
            ".civic-1-1.tmp",
            "a.",
            "a ",
            "a./b",
            "NUL",
            "con",
            "aux.txt",
            "COM1",
            "lpt9",
            "x/prn",
            &long,
        ] {
            assert_eq!(relative_path(id), None, "{id:?}");
        }
    }

    #[test]
    fn other_files_are_no_records() {
        for path in ["a.txt", "a", ".a.md", "x/.b/a.md", ".md", "../a.md", "/a.md", "a.MD", "a.md~"]
        {
            assert_eq!(id_of(Path::new(path)), None, "{path}");
        }
    }
}
