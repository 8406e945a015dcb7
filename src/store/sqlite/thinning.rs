//! Which older snapshots of a room are kept: all of the last hour, one per hour for a day, one per day for
//! thirty days. The newest is always kept.

use crate::limits::SNAPSHOTS_LAST_HOUR_MAX;

const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;
const DAYS_KEPT: u64 = 30;

/// Versions to delete of `kept` (version and creation time, newest first) at `now_ms`.
///
/// Hours and days are those of the clock and the oldest snapshot of each stands for it, from the start: so
/// what one call keeps the next keeps too, and a busy hour, of which only the newest
/// [`SNAPSHOTS_LAST_HOUR_MAX`] stay, does not push out the one that will be the hour's.
pub(super) fn versions_to_delete(kept: &[(u64, u64)], now_ms: u64) -> Vec<u64> {
    let older = kept.iter().skip(1).map(|&(_, at)| Some(at)).chain([None]);
    let mut delete = Vec::new();
    for (position, (&(version, created_at_ms), older_ms)) in kept.iter().zip(older).enumerate() {
        let age_ms = now_ms.saturating_sub(created_at_ms);
        let is_first_of = |length_ms: u64| {
            older_ms.is_none_or(|older| older / length_ms != created_at_ms / length_ms)
        };
        let keep = if age_ms < HOUR_MS {
            position < SNAPSHOTS_LAST_HOUR_MAX || is_first_of(HOUR_MS)
        } else if age_ms < DAY_MS {
            is_first_of(HOUR_MS)
        } else {
            age_ms < DAYS_KEPT * DAY_MS && is_first_of(DAY_MS)
        };
        if !keep && position > 0 {
            delete.push(version);
        }
    }
    delete
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn the_newest_stays_however_old() {
        assert!(versions_to_delete(&[(7, 0)], NOW).is_empty());
        assert_eq!(versions_to_delete(&[(7, 0), (6, 0)], NOW), [6]);
    }

    #[test]
    fn all_of_the_last_hour_stay() {
        let minutes = SNAPSHOTS_LAST_HOUR_MAX as u64;
        let each_minute: Vec<_> =
            (0..minutes).map(|ago| (minutes - ago, NOW - ago * 60_000)).collect();
        assert!(versions_to_delete(&each_minute, NOW).is_empty());
    }

    #[test]
    fn of_a_hasty_hour_the_newest_stay_and_the_oldest_stands_for_it() {
        let count = SNAPSHOTS_LAST_HOUR_MAX as u64 + 5;
        let kept: Vec<_> = (0..count).map(|ago| (count - ago, NOW - ago * 1000)).collect();
        assert_eq!(versions_to_delete(&kept, NOW), [5, 4, 3, 2]);
    }

    #[test]
    fn a_month_of_snapshots_each_minute_stays_small_and_even() {
        let mut kept: Vec<(u64, u64)> = Vec::new();
        let minutes = 40 * 24 * 60;
        for minute in 0..minutes {
            let now = NOW + minute * 60_000;
            kept.insert(0, (minute + 1, now));
            let delete = versions_to_delete(&kept, now);
            kept.retain(|(version, _)| !delete.contains(version));
        }
        let end = NOW + (minutes - 1) * 60_000;
        let aged = |from: u64, to: u64| {
            kept.iter().filter(|(_, at)| (from..to).contains(&(end - at))).count()
        };
        assert_eq!(aged(0, HOUR_MS), 60);
        assert!((22..=24).contains(&aged(HOUR_MS, DAY_MS)), "{}", aged(HOUR_MS, DAY_MS));
        assert!((28..=30).contains(&aged(DAY_MS, 30 * DAY_MS)), "{}", aged(DAY_MS, 30 * DAY_MS));
        assert_eq!(aged(30 * DAY_MS, u64::MAX), 0);
    }
}
