//! Finding the key somebody meant: camelCase spellings, and the nearest known key of an unknown one.

use std::collections::BTreeSet;

use super::keys;

/// What a path of the file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Key(&'static str),
    Section(&'static str),
}

/// The known key or section that `segment`, spelled in either way, names below `section` (empty = top).
pub(super) fn child(section: &str, segment: &str) -> Option<Place> {
    keys::all().iter().find_map(|key| {
        let rest = if section.is_empty() {
            key.path
        } else {
            key.path.strip_prefix(section)?.strip_prefix('.')?
        };
        let name = rest.split('.').next()?;
        if !spells(segment, name) {
            return None;
        }
        if name.len() == rest.len() {
            return Some(Place::Key(key.path));
        }
        key.path.get(..key.path.len() - rest.len() + name.len()).map(Place::Section)
    })
}

/// Whether `written` is `known` itself or its camelCase spelling; capitals of abbreviations (`messageTTL`)
/// do not matter.
fn spells(written: &str, known: &str) -> bool {
    let camel = || {
        written.starts_with(|c: char| c.is_ascii_lowercase())
            && written.contains(|c: char| c.is_ascii_uppercase())
            && written
                .bytes()
                .map(|b| b.to_ascii_lowercase())
                .eq(known.bytes().filter(|b| *b != b'_'))
    };
    written == known || camel()
}

/// The known key or section nearest to `written`.
pub(super) fn nearest(written: &str) -> &'static str {
    let wanted = squash(written);
    let wanted_name = wanted.rsplit('.').next().unwrap_or_default();
    candidates()
        .into_iter()
        .min_by_key(|known| {
            let path = squash(known);
            // A right name in the wrong section is nearer than a similar path of another meaning.
            let name = path.rsplit('.').next().unwrap_or_default();
            distance(&wanted, &path).min(distance(wanted_name, name) + 1)
        })
        .unwrap_or_default()
}

fn candidates() -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for key in keys::all() {
        names.insert(key.path);
        names.extend(key.path.match_indices('.').filter_map(|(end, _)| key.path.get(..end)));
    }
    names
}

/// At most 64 letters: unknown keys come from a file of any content, and the comparison is quadratic.
fn squash(path: &str) -> String {
    path.chars()
        .filter(|c| *c != '_' && *c != '-')
        .take(64)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            *cell = left;
            diagonal = above;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("kitten", "sitting", 3),
            ("prot", "port", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn nearest_keys() {
        for (written, known) in [
            ("prot", "port"),
            ("rooms.max_room", "rooms.max_rooms"),
            ("max_rooms", "rooms.max_rooms"),
            ("rate_limits", "rate_limiting"),
            ("rateLimiting.mesagesPerSecond", "rate_limiting.messages_per_second"),
            ("auth.secret", "auth.jwt.secret"),
            ("allowed_origin", "allowed_origins"),
        ] {
            assert_eq!(nearest(written), known, "{written}");
        }
    }

    #[test]
    fn every_key_has_a_camel_case_spelling() {
        for key in keys::all() {
            let mut place = "";
            for segment in key.path.split('.') {
                let mut words = segment.split('_');
                let mut camel = words.next().unwrap().to_owned();
                for word in words {
                    camel.push_str(&word[..1].to_ascii_uppercase());
                    camel.push_str(&word[1..]);
                }
                place = match child(place, &camel) {
                    Some(Place::Key(path) | Place::Section(path)) => path,
                    None => panic!("{camel} of {}", key.path),
                };
                assert_eq!(child(place, "no_such_key"), None);
            }
            assert_eq!(place, key.path);
        }
    }

    #[test]
    fn only_the_two_spellings_count() {
        for wrong in ["Max_Rooms", "MaxRooms", "maxrooms", "max-rooms", "MAX_ROOMS"] {
            assert_eq!(child("rooms", wrong), None, "{wrong}");
        }
    }
}
