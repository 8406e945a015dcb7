//! Markdown to and from the shared document.
//!
//! A record's body is Markdown in the host and a `ProseMirror` tree in the room. This module converts both
//! ways exactly as the editor's JavaScript does (markdown-it's `commonmark` preset with HTML and tables,
//! prosemirror-markdown 1.13.4, y-prosemirror 1.3.7), and applies outside changes to a live document
//! without disturbing what people are typing.
//!
//! ```text
//! file ── split_front_matter ──► body ── parse ──► Node ── write_fragment ──► shared document
//! file ◄────────── join ──────── body ◄─ serialize ── Node ◄─ read_fragment ─┘
//! ```
//!
//! Two things are the editor's doing and look like faults here: lists are always written loose (the schema
//! has no `tight`; one set by another editor is honoured), and HTML other than references is dropped. What is
//! dropped is reported ([`parse_with_losses`]).
//! One thing is ours: markdown-it drops what is nested deeper than 20 blocks, we keep it and flatten what is
//! nested deeper than the document may be. What else differs is listed in `tests/markdown/known.rs`.

mod civic_ref;
mod fragment;
mod front_matter;
mod links;
mod loss;
mod merge;
mod naming;
mod node;
mod parse;
mod references;
mod schema;
mod serialize;

#[cfg(test)]
mod tests;

pub use fragment::{read_fragment, write_fragment};
pub use front_matter::{join, split_front_matter};
pub use loss::{Loss, losses};
pub use merge::{Conflict, MergeReport, Past, Views, merge_late, merge_outside, merge_unrelated};
pub use naming::Naming;
pub use node::{Attrs, Child, Mark, Name, Node, Text};
pub use parse::{parse, parse_with_losses};
pub use references::{Reference, references};
pub use schema::{is_inline, is_textblock, knows_mark, mark_rank};
pub use serialize::serialize;

/// Name of the XML fragment that holds a document: what `TipTap` and Hocuspocus call their default field.
pub const ROOT: &str = "default";

/// Goes up when the same Markdown would make another document; part of a seed's identity.
pub const CONVERTER_VERSION: &str = "1";

/// Whether a stored body says the same as a serialized one, in whatever way it is written.
pub fn is_same(stored: &str, serialized: &str) -> bool {
    if stored == serialized {
        return true;
    }
    // What neither document holds counts, too: a line break in a cell may have been deleted.
    serialize(&parse(stored)) == serialized
        && losses(stored, serialized).is_empty()
        && losses(serialized, stored).is_empty()
}
