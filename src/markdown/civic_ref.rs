//! References to other records, written as HTML comments so that the Markdown stays readable.

use super::node::Node;
use super::schema::REF_TYPES;

const OPENING: &str = "<!--civic-ref";
const CLOSING: &str = "-->";

/// Reads one HTML comment as a reference; anything else is not one.
///
/// The id is taken as it stands and only the label is unescaped, as the editor does.
pub(super) fn parse(html: &str) -> Option<Node> {
    let rest = html.strip_prefix(OPENING)?.strip_suffix(CLOSING)?;
    let (ref_type, rest) = attribute(rest, "type")?;
    let (id, rest) = attribute(rest, "id")?;
    let (label, rest) = attribute(rest, "label")?;
    if !rest.is_empty() || ref_type.is_empty() || id.is_empty() {
        return None;
    }
    let known = REF_TYPES.iter().find(|known| **known == ref_type).unwrap_or(&REF_TYPES[0]);
    let label = label.replace("&quot;", "\"").replace("&#45;&#45;", "--");
    Some(Node::new("civicRef").with("refType", *known).with("id", id).with("label", label))
}

/// Whether a comment's reference is of a kind the editor knows, and so is said by its node.
pub(super) fn is_of_known_kind(html: &str, node: &Node) -> bool {
    let kind = html.split('"').nth(1).unwrap_or_default();
    kind == node.str_attr("refType")
}

/// Writes a reference. A quote would end its attribute and two dashes the comment, so both are escaped.
pub(super) fn serialize(node: &Node) -> String {
    let escaped = |key| node.str_attr(key).replace('"', "&quot;").replace("--", "&#45;&#45;");
    format!(
        "{OPENING} type=\"{}\" id=\"{}\" label=\"{}\"{CLOSING}",
        escaped("refType"),
        escaped("id"),
        escaped("label")
    )
}

/// One `name="value"` after at least one white space, and what follows it.
fn attribute<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let trimmed = text.trim_start();
    if trimmed.len() == text.len() {
        return None;
    }
    trimmed.strip_prefix(name)?.strip_prefix("=\"")?.split_once('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_complete_references() {
        let good =
            r#"<!--civic-ref  type="geography" id="g-1" label="A &quot;b&quot; &#45;&#45; c"-->"#;
        let node = parse(good).unwrap();
        assert_eq!(node.str_attr("refType"), "geography");
        assert_eq!(node.str_attr("label"), "A \"b\" -- c");
        assert_eq!(serialize(&node), good.replace("  type", " type"));
        for bad in [
            "<!-- civic-ref type=\"record\" id=\"a\" label=\"\"-->",
            "<!--civic-ref type=\"record\" id=\"\" label=\"\"-->",
            "<!--civic-ref type=\"record\"id=\"a\" label=\"\"-->",
            "<!--civic-ref type=\"record\" id=\"a\"-->",
            "<!--civic-ref type=\"record\" id=\"a\" label=\"\" -->",
            "<br>",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unknown_kind_is_a_record() {
        let node = parse("<!--civic-ref type=\"planet\" id=\"a\" label=\"\"-->").unwrap();
        assert_eq!(node.str_attr("refType"), "record");
    }
}
