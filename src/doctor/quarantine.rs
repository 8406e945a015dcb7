//! Updates in quarantine.

use std::path::Path;

use super::Check;
use crate::{config::value::cut, limits::QUARANTINE_UPDATES_MAX, room::quarantine};

/// Updates listed one by one; the newest.
const LISTED_MAX: usize = 10;

pub(super) fn checks(system_data_dir: &Path) -> Vec<Check> {
    const NAME: &str = "quarantine";
    let folder = quarantine::folder(system_data_dir);
    let kept = match quarantine::list(&folder) {
        Ok(kept) => kept,
        Err(error) => {
            let detail = format!("{} cannot be read: {error}", folder.display());
            return vec![Check::warn(NAME, detail, "look at its owner and permissions")];
        }
    };
    if kept.is_empty() {
        return vec![Check::ok(NAME, "no update ever broke a document")];
    }
    let detail = format!("{} of at most {QUARANTINE_UPDATES_MAX} updates", kept.len());
    let remedy = format!(
        "send the files in {} to the maintainers, then delete them; they hold text of documents",
        folder.display()
    );
    let mut checks = vec![Check::warn(NAME, detail, remedy)];
    checks.extend(kept.iter().rev().take(LISTED_MAX).map(|update| {
        let user = update.user_id.as_deref().map_or("nobody".into(), cut);
        let detail = format!(
            "{} at {} ms: room {}, by {user}, {} bytes, {}",
            cut(&update.code),
            update.at_ms,
            cut(&update.room),
            update.bytes,
            cut(&update.sha256)
        );
        Check { remedy: None, ..Check::warn(NAME, detail, "") }
    }));
    checks
}
