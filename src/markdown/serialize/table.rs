//! Tables as GitHub writes them: one line per row, one space around each cell, three dashes per column.

use super::super::node::{Child, Node};
use super::{Place, Writer};

/// All lines of a table, or nothing if it has no row.
pub(super) fn serialize(table: &Node) -> Option<String> {
    let mut rows = nodes(table);
    let head = rows.next()?;
    let mut lines = vec![row_line(nodes(head).map(cell_text))];
    lines.push(row_line(nodes(head).map(|cell| delimiter(cell).to_owned())));
    lines.extend(rows.map(|row| row_line(nodes(row).map(cell_text))));
    Some(lines.join("\n"))
}

fn nodes(parent: &Node) -> impl Iterator<Item = &Node> {
    parent.content.iter().filter_map(|child| match child {
        Child::Node(node) => Some(node),
        Child::Text(_) => None,
    })
}

fn row_line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn delimiter(cell: &Node) -> &'static str {
    match cell.str_attr("align") {
        "left" => ":--",
        "center" => ":-:",
        "right" => "--:",
        _ => "---",
    }
}

fn cell_text(cell: &Node) -> String {
    let mut writer = Writer::new(Place::Cell);
    writer.children(cell, 0);
    let mut line = String::with_capacity(writer.out.len());
    for c in writer.out.chars() {
        match c {
            '\r' | '\n' if line.ends_with('\n') => {}
            '\r' | '\n' => line.push('\n'),
            '|' => line.push_str("\\|"),
            c => line.push(c),
        }
    }
    line.trim_matches(super::escape::is_space).replace('\n', " ")
}
