//! Room patterns: which rooms a token is limited to.

use crate::ids::RoomId;

/// Whether `patterns` allow `room`; an empty list is no limit.
pub fn allows(patterns: &[String], room: &RoomId) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, room.as_str()))
}

/// Whether one pattern covers the room `type:id`. A `*` stands only at the end and covers everything after
/// what is before it: `*`, `records:*`, `records:by-laws/*`. Without a star the names must be equal.
pub fn matches(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix('*') {
        // A prefix that ends within the type (`rec*`) is no pattern; see `is_pattern`.
        Some(prefix) => {
            is_pattern(pattern) && room.len() > prefix.len() && room.starts_with(prefix)
        }
        None => pattern == room,
    }
}

/// Whether `pattern` is `*`, `type:*`, `type:start*` or a room's full name.
pub fn is_pattern(pattern: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let stem = pattern.strip_suffix('*');
    match stem {
        Some(stem) if stem.contains('*') => false,
        // What the star stands for is any valid id, so one letter in its place must give a room.
        Some(stem) => RoomId::parse(&format!("{stem}x")).is_ok(),
        None => !pattern.contains('*') && RoomId::parse(pattern).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, room, covered) in [
            ("*", "records:a", true),
            ("*", "device:a/b", true),
            ("records:*", "records:a", true),
            ("records:*", "records:by-laws/12", true),
            ("records:*", "recordsx:a", false),
            ("records:*", "device:a", false),
            ("records:by-laws/*", "records:by-laws/12", true),
            ("records:by-laws/*", "records:by-laws", false),
            ("records:by-laws/*", "records:by-laws-old/12", false),
            ("records:by-laws*", "records:by-laws-old", true),
            ("records:a", "records:a", true),
            ("records:a", "records:a/b", false),
            ("records:a", "records:A", false),
            ("rec*", "records:a", false),
            ("", "records:a", false),
            ("**", "records:a", false),
            ("records:*/secret", "records:x/secret", false),
        ] {
            assert_eq!(matches(pattern, room), covered, "{pattern} {room}");
        }
    }

    #[test]
    fn only_clear_patterns_are_patterns() {
        for good in ["*", "records:*", "records:by-laws/*", "records:2026*", "device:a"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in [
            "",
            "**",
            "rec*",
            "records",
            "records:",
            ":*",
            "records:*a",
            "records:../*",
            "Records:*",
        ] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn an_empty_list_is_no_limit() {
        let room = RoomId::parse("records:a").unwrap();
        assert!(allows(&[], &room));
        assert!(!allows(&["device:*".into()], &room));
        assert!(allows(&["device:*".into(), "records:*".into()], &room));
    }
}
