//! A record, as `GET /api/v1/records/:id` tells it.

use serde_json::{Map, Value};

use crate::host::{DRAFT, HostError, RecordText};

/// Name of a record's text as a source.
const RECORD: &str = "record";
/// The API's code for a record that does not exist, or not for who asks.
pub(super) const NOT_FOUND: &str = "RECORD_NOT_FOUND";

/// What a draft takes over from the record it is made of; the API drops what it is not told.
const KEPT: &[&str] = &[
    "title",
    "type",
    "status",
    "workflowState",
    "metadata",
    "geography",
    "attachedFiles",
    "linkedRecords",
    "linkedGeographyFiles",
];

/// A record or its draft.
#[derive(Clone, Debug)]
pub(super) struct Record {
    fields: Map<String, Value>,
    text: String,
}

impl Record {
    /// Reads the API's answer.
    pub(super) fn read(answer: &Value) -> Result<Self, HostError> {
        let nonsense =
            || HostError::Failed("the CivicPress API answered a record without a text".into());
        let fields = answer.get("data").and_then(Value::as_object).ok_or_else(nonsense)?;
        let text = match (fields.get("markdownBody"), fields.get("content")) {
            (Some(Value::String(text)), _) | (_, Some(Value::String(text))) => text.clone(),
            // A draft nobody wrote in yet.
            (Some(Value::Null), _) => String::new(),
            (None, _) if is_draft(fields) => String::new(),
            _ => return Err(nonsense()),
        };
        Ok(Self { fields: fields.clone(), text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> RecordText {
        let source = if is_draft(&self.fields) { DRAFT } else { RECORD };
        RecordText { source, text: self.text }
    }

    /// The body of `PUT …/draft` that makes `text` the draft's.
    pub(super) fn draft_with(&self, text: &str) -> Value {
        let mut body = Map::new();
        body.insert("markdownBody".into(), text.into());
        if !is_draft(&self.fields) {
            let kept = KEPT.iter().filter_map(|name| {
                let value = self.fields.get(*name).filter(|value| !value.is_null())?;
                Some(((*name).to_owned(), value.clone()))
            });
            body.extend(kept);
        }
        Value::Object(body)
    }
}

fn is_draft(fields: &Map<String, Value>) -> bool {
    fields.get("isDraft") == Some(&Value::Bool(true))
}

/// Where a saved text went, by the answer to it.
pub(super) fn saved_as(answer: &Value) -> &'static str {
    match answer.pointer("/data/source").and_then(Value::as_str) {
        Some("record") => RECORD,
        _ => DRAFT,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: &Value) -> Result<Record, HostError> {
        Record::read(&json!({ "success": true, "data": data }))
    }

    #[test]
    fn a_draft_comes_first_and_is_a_source_of_its_own() {
        let draft =
            read(&json!({ "isDraft": true, "markdownBody": "new", "content": "old" })).unwrap();
        assert_eq!(draft.into_text(), RecordText { source: DRAFT, text: "new".into() });
        let record = read(&json!({ "isDraft": false, "content": "old" })).unwrap();
        assert_eq!(record.into_text(), RecordText { source: RECORD, text: "old".into() });
        let empty = read(&json!({ "isDraft": true, "markdownBody": null })).unwrap();
        assert_eq!(empty.text(), "");
        for data in [json!(null), json!([]), json!({}), json!({ "content": 7 })] {
            assert!(read(&data).is_err(), "{data}");
        }
    }

    #[test]
    fn a_new_draft_keeps_what_the_record_has() {
        let fields = json!({
            "isDraft": false, "content": "old", "title": "T", "type": "bylaw", "status": "published",
            "geography": { "type": "Point" }, "attachedFiles": [1], "linkedRecords": [2],
            "workflowState": null, "author": "ada",
        });
        assert_eq!(
            read(&fields).unwrap().draft_with("new"),
            json!({
                "markdownBody": "new", "title": "T", "type": "bylaw", "status": "published",
                "geography": { "type": "Point" }, "attachedFiles": [1], "linkedRecords": [2],
            })
        );
        let draft = read(&json!({ "isDraft": true, "markdownBody": "old", "title": "T" })).unwrap();
        assert_eq!(draft.draft_with("new"), json!({ "markdownBody": "new" }));
    }
}
