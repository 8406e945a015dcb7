//! Blocks: each writes its lines and leaves the blank line after it to what follows.

use serde_json::Value;

use super::super::node::{Child, Node};
use super::{Place, Writer, table};
use crate::limits::XML_DEPTH_MAX;

impl<'a> Writer<'a> {
    /// Writes a node's content as blocks. `depth` is the number of the content's ancestors.
    pub(super) fn children(&mut self, parent: &'a Node, depth: usize) {
        let mut rest = parent.content.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if let (false, Child::Node(node)) = (first.is_inline(), first) {
                self.block(node, depth);
                rest = after;
                continue;
            }
            // No schema allows text between blocks, but it is somebody's text: a paragraph of its own.
            let len = rest.iter().take_while(|child| child.is_inline()).count();
            let (line, after) = rest.split_at(len);
            self.inline(line, true);
            self.close_block(parent);
            rest = after;
        }
    }

    fn block(&mut self, node: &'a Node, depth: usize) {
        if depth > XML_DEPTH_MAX {
            self.text(&node.text_content(), true);
            return self.close_block(node);
        }
        match node.name.as_ref() {
            "paragraph" => {
                self.inline(&node.content, true);
                // A cell is one line: its paragraphs follow each other directly.
                if self.place == Place::Document {
                    self.close_block(node);
                }
            }
            "heading" => {
                let level = node.attrs.get("level").and_then(Value::as_u64).unwrap_or(1);
                let level = usize::try_from(level).unwrap_or(1).clamp(1, 6);
                self.write(&format!("{} ", "#".repeat(level)));
                self.inline(&node.content, false);
                self.close_block(node);
            }
            "blockquote" => {
                self.wrapped("> ", "> ", node, |writer| writer.children(node, depth + 1));
            }
            "bullet_list" => self.list(node, depth, |_| ("* ".to_owned(), 2)),
            "ordered_list" => {
                let first = match node.attrs.get("order").and_then(Value::as_i64) {
                    None | Some(0) => 1,
                    Some(order) => order,
                };
                let number = |index: usize| first.saturating_add_unsigned(index as u64).to_string();
                let width = number(node.content.len().saturating_sub(1)).len();
                self.list(node, depth, |index| (format!("{:>width$}. ", number(index)), width + 2));
            }
            "code_block" => self.code_block(node),
            "horizontal_rule" => {
                self.write("---");
                self.close_block(node);
            }
            "table" => {
                if let Some(lines) = table::serialize(node) {
                    self.text(&lines, false);
                    self.close_block(node);
                }
            }
            "list_item" => self.children(node, depth + 1),
            _ if node.has_inline_content() => {
                self.inline(&node.content, true);
                self.close_block(node);
            }
            _ => {
                self.children(node, depth + 1);
                self.close_block(node);
            }
        }
    }

    fn wrapped(
        &mut self,
        delim: &str,
        first: &str,
        node: &'a Node,
        content: impl FnOnce(&mut Self),
    ) {
        let outer = self.delim.len();
        self.write(first);
        self.delim.push_str(delim);
        content(self);
        self.delim.truncate(outer);
        self.close_block(node);
    }

    /// `marker` gives an item's marker and the indentation of its further lines.
    fn list(&mut self, list: &'a Node, depth: usize, marker: impl Fn(usize) -> (String, usize)) {
        if self.closed == Some(&list.name) {
            // Without a wider gap two lists would be read as one.
            self.flush_close(3);
        } else if self.in_tight_list {
            self.flush_close(1);
        }
        let default = self.place == Place::Cell;
        let tight = list.attrs.get("tight").and_then(Value::as_bool).unwrap_or(default);
        let outer = std::mem::replace(&mut self.in_tight_list, tight);
        for (index, item) in list.content.iter().enumerate() {
            if index > 0 && tight {
                self.flush_close(1);
            }
            let (first, indent) = marker(index);
            self.wrapped(&" ".repeat(indent), &first, list, |writer| match item {
                Child::Node(item) if !schema_inline(item) => writer.block(item, depth + 1),
                inline => writer.inline(std::slice::from_ref(inline), true),
            });
        }
        self.in_tight_list = outer;
    }

    fn code_block(&mut self, node: &'a Node) {
        let code = node.text_content();
        let fence = "`".repeat(fence_len(&code));
        self.write(&format!("{fence}{}\n", node.str_attr("params")));
        self.text(&code, false);
        self.write("\n");
        self.write(&fence);
        self.close_block(node);
    }
}

fn schema_inline(node: &Node) -> bool {
    super::super::schema::is_inline(&node.name)
}

/// Three backticks, or one more than the longest run of at least three in the code.
fn fence_len(code: &str) -> usize {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest < 3 { 3 } else { longest + 1 }
}
