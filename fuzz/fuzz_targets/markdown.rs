//! Records: Markdown to the shared document and back is the same; an outside change merges.
#![no_main]

use civicpress_realtime::{
    markdown::{self, Naming},
    protocol::guard::{self, Bounds},
    room::document::{Applied, Document, Exact, seed_update},
};
use libfuzzer_sys::fuzz_target;

const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
const ROUNDS_MAX: usize = 4;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (ours, theirs) = text.split_once('\u{1}').unwrap_or((text, ""));
    let (front, body) = markdown::split_front_matter(ours);
    drop(markdown::join(front, body));
    assert!(markdown::losses(body, body).is_empty(), "what stands there is not lost");
    let once = markdown::serialize(&markdown::parse(body));
    settles(&once);

    // Every second input as Tiptap's editors have it.
    let naming = if data.len() % 2 == 0 { Naming::CivicPress } else { Naming::Tiptap };
    let seed = seed_update("records:a", body, naming).expect("a seed");
    let mut document = Document::new(DOCUMENT_BYTES_MAX).named(naming);
    let seed =
        guard::admit(seed, &Bounds::new(DOCUMENT_BYTES_MAX)).expect("a seed passes the guard");
    let applied = document.apply(&seed, Exact::NotWanted).expect("a seed applies");
    assert_ne!(applied, Applied::Missing);
    // A hard break carries no marks there (y-prosemirror's form), so only the words are compared.
    let content = document.content().expect("content");
    assert_eq!(
        content.text_content(),
        markdown::parse(body).text_content(),
        "the shared document says something else"
    );
    settles(&markdown::serialize(&content));
    document.merge_outside(&once, theirs).expect("a merge");
    let merged = markdown::serialize(&document.content().expect("content"));
    settles(&merged);
});

/// Read and written again and again, a text comes to rest. Not at once: two lists side by side are written as
/// the editor's own serializer writes them, which reads as one.
fn settles(text: &str) {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let next = markdown::serialize(&markdown::parse(&text));
        if next == text {
            return;
        }
        text = next;
    }
    panic!("it never comes to rest");
}
