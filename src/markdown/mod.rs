#![allow(missing_docs)]
use yrs::*;
pub const ROOT: &str = "default";
pub const CONVERTER_VERSION: &str = "1";
#[derive(Debug, Clone, Default)]
pub struct Node;
#[derive(Debug, Clone, Default)]
pub struct MergeReport {
    pub changed: bool,
    pub conflicts: Vec<String>,
}
pub fn split_front_matter(t: &str) -> (&str, &str) {
    ("", t)
}
pub fn join(a: &str, b: &str) -> String {
    format!("{a}{b}")
}
pub fn parse(_: &str) -> Node {
    Node
}
pub fn serialize(_: &Node) -> String {
    String::new()
}
pub fn is_same(a: &str, b: &str) -> bool {
    a == b
}
pub fn write_fragment(_: &mut TransactionMut<'_>, _: &XmlFragmentRef, _: &Node) {}
pub fn read_fragment<T: ReadTxn>(_: &T, _: &XmlFragmentRef) -> Node {
    Node
}
pub fn merge_outside(
    _: &mut TransactionMut<'_>,
    _: &XmlFragmentRef,
    _: &str,
    _: &str,
) -> MergeReport {
    MergeReport::default()
}
