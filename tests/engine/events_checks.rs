//! The acceptance checks of rooms of events, and the tests that hold each of them.
//!
//! Parts of what is due are held otherwise than by a test of their words. 2: the original dpd.js is another
//! project's, so a client that does what it does, defects included, stands for it. 28: the commit is the host's,
//! which tells of a change once it is done. 25, 43, 46: subscriptions end, what waits has a time to live, and
//! nodes say goodbye, once there are brokers.

use std::collections::BTreeSet;

use crate::operations::Sources;

struct Check {
    number: u8,
    says: &'static str,
    /// Nothing = it is not due yet: it needs a broker, or compression.
    tests: &'static [&'static str],
}

const fn due(number: u8, says: &'static str, tests: &'static [&'static str]) -> Check {
    Check { number, says, tests }
}

const fn later(number: u8, says: &'static str) -> Check {
    Check { number, says, tests: &[] }
}

const LATER: [u8; 14] = [26, 31, 32, 33, 34, 35, 36, 37, 38, 39, 41, 42, 44, 45];

const CHECKS: [Check; 52] = [
    due(
        1,
        "a thousand messages in a burst are a thousand frames of one message each",
        &[
            "every_frame_is_one_message_under_a_burst",
            "the_server_speaks_to_rooms_and_to_everybody_in_order",
        ],
    ),
    due(
        2,
        "the original dpd.js works as it is; ours also joins again, and all it was asked for before the opening",
        &[
            "the original dpd.js works as far as it can, and wholly with the legacy broadcast",
            "the face of dpd.js joins every collection that is listened to, before and after a cut",
        ],
    ),
    due(
        3,
        "whole seconds, no room in what is for everybody, 0 and \"\" and false stay",
        &[
            "frames_are_go_deployds",
            "frames_are_go_deployds_to_the_byte",
            "falsy_data_is_kept_and_null_is_none",
            "nobody_speaks_for_the_server_or_to_everybody",
            "the host speaks to rooms and to everybody, and asks who is there",
        ],
    ),
    due(
        4,
        "errors have go-deployd's texts",
        &["error_texts_are_go_deployds_and_cost_nothing_else", "errors_have_go_deployds_texts"],
    ),
    due(
        5,
        "joins and leaves have no answer for who asks for none",
        &["joins_and_leaves_are_silent_unless_somebody_asks"],
    ),
    due(
        6,
        "64 KiB pass, a byte more ends it with 1009; a JWT of 2 KB counts",
        &[
            "sixty_four_kib_pass_and_a_byte_more_ends_it",
            "only_a_sound_jwt_makes_a_connection_for_events_somebodys_and_while_it_holds",
            "long_tokens_authenticate",
        ],
    ),
    due(
        7,
        "no JSON, 10,000 brackets, no UTF-8, binary, unmasked, fragments with pings between",
        &[
            "hostile_messages_cost_an_error_and_hostile_frames_a_close",
            "deep_json_is_refused_wherever_it_stands",
            "whatever_comes_is_a_message_or_an_error",
        ],
    ),
    due(
        8,
        "an event called connect or auth is no such message",
        &[
            "an_event_called_as_a_message_is_is_no_such_message",
            "the face of dpd.js joins every collection that is listened to, before and after a cut",
        ],
    ),
    due(
        9,
        "nobody's connection hears no documents unless it may; passwords and tokens are taken out",
        &[
            "who_has_no_token_hears_public_rooms_and_nothing_else",
            "changes_of_collections_reach_who_joined_them_without_secrets",
            "the_legacy_broadcast_reaches_who_never_joined",
            "passwords_and_tokens_are_taken_out_at_any_depth",
        ],
    ),
    due(
        10,
        "no start without a sound secret; forged, early and late tokens are refused; the end of one ends its connection",
        &[
            "unusable_configurations_are_refused",
            "when the secret is short, without showing it",
            "forged_and_broken_tokens_are_refused",
            "claims_that_do_not_hold_are_refused",
            "only_a_sound_jwt_makes_a_connection_for_events_somebodys_and_while_it_holds",
            "an_expired_token_is_told_and_ends_the_connection_unless_another_comes",
        ],
    ),
    due(
        11,
        "pages of allowed origins only: exact, by wildcard, and who says none",
        &[
            "pages_of_listed_origins_only_connect_for_events",
            "a_list_is_exact",
            "same_host_by_default",
        ],
    ),
    due(
        12,
        "no client speaks where it may not, nor to everybody by default",
        &[
            "nobody_speaks_for_the_server_or_to_everybody",
            "configured_rules_decide_by_room_role_and_event",
            "the_defaults_are_careful",
        ],
    ),
    due(
        13,
        "operators' routes are theirs, behind a proxy too; a load test is bounded and goes nowhere else",
        &[
            "operators_services_and_admins_may_and_nobody_else",
            "whoever_comes_through_a_proxy_is_no_operator",
            "metrics_are_for_operators",
            "a_load_test_measures_round_trips_and_leaves_nothing",
            "bounds_are_exact_and_go_deployds_sample_is_within",
            "one_load_test_runs_at_a_time_and_goes_where_the_engine_listens",
        ],
    ),
    due(
        14,
        "no password and no token in what is printed or logged, those in URLs included",
        &[
            "no_key_that_holds_a_secret_is_shown",
            "secrets_are_never_shown",
            "urls_are_shown_without_what_must_stay_secret",
            "prints values with their sources and no secrets",
            "no_token_of_a_connection_for_events_is_in_a_line",
            "a_token_in_a_url_counts_only_if_allowed_and_is_in_no_line",
        ],
    ),
    due(
        15,
        "a head has its time, and half-open connections have a number",
        &[
            "slow_and_silent_peers_are_cut",
            "half_open_connections_of_one_address_are_counted_exactly",
            "places_of_half_open_connections_come_back_on_every_path",
            "who_is_not_authenticated_yet_counts_as_half_open",
            "bounds_are_exact_and_places_come_back",
        ],
    ),
    due(
        16,
        "who goes while in rooms frees everything, and who stays is served at once",
        &[
            "rooms_and_places_come_back_when_everybody_is_gone",
            "limits_of_connections_for_events_are_exact_and_places_come_back",
        ],
    ),
    due(
        17,
        "who does not read costs itself only, in bounded memory",
        &[
            "who_does_not_read_is_cut_and_delays_nobody",
            "who_reads_nothing_for_long_is_cut_before_its_queue_is_full",
        ],
    ),
    due(
        18,
        "5,000 events at once reach who reads",
        &[
            "healthy_clients_survive_a_burst_whole_and_in_order",
            "what is said in a row of thousands arrives whole, in order, and holds the caller up for no time",
        ],
    ),
    due(
        19,
        "cleaning up takes no message",
        &["looking_for_old_events_takes_none_that_waits_for_its_reader"],
    ),
    due(
        20,
        "limits are exact at N and N + 1, and come back",
        &[
            "limits_of_connections_for_events_are_exact_and_places_come_back",
            "connections_for_events_share_the_limits_of_all",
            "limits_of_rooms_are_exact_and_places_come_back",
            "events_have_the_configured_rate_exactly",
        ],
    ),
    due(
        21,
        "N a second pass for a minute, N at once pass, one more waits, N come back in a second",
        &[
            "events_have_the_configured_rate_exactly",
            "the_rate_passes_for_ever_and_its_burst_is_slowed_not_lost",
            "who_sends_too_much_is_slowed_warned_and_closed",
        ],
    ),
    due(
        22,
        "what a file leaves out has its default, unknown keys warn, wrong values name their key, 0 is no limit of 0",
        &[
            "a_file_with_some_limits_keeps_the_others_and_no_limit_is_zero",
            "unknown_keys_warn_with_the_nearest",
            "wrong_values_name_key_value_allowed_and_source",
        ],
    ),
    due(
        23,
        "an idle connection has a budget of memory",
        &["an_idle_connection_for_events_takes_little_memory"],
    ),
    due(
        24,
        "silence ends after ping interval and pong time-out, any word keeps",
        &[
            "silence_ends_a_connection_in_its_time_and_any_word_keeps_it",
            "a_silent_client_is_asked_and_then_gone",
            "a_client_of_events_is_asked_in_time_to_answer",
        ],
    ),
    due(
        25,
        "10,000 joins and leaves, and 1,000 rooms, leave nothing",
        &["rooms_and_places_come_back_when_everybody_is_gone"],
    ),
    later(26, "compression: threshold, one compressed frame for all, bombs, Autobahn 12 and 13"),
    due(
        27,
        "a room hears what is said in its order, and what was said before an end arrives",
        &[
            "every_frame_is_one_message_under_a_burst",
            "what is said in a row of thousands arrives whole, in order, and holds the caller up for no time",
            "what_was_emitted_before_the_end_arrives",
            "whoever_is_disconnected_hears_what_was_said_before",
        ],
    ),
    due(
        28,
        "changes of collections are told as they were when told: one, many, by command",
        &[
            "a change is told as it was when it was told: one, several, many, and what hooks bring",
            "changes_of_collections_reach_who_joined_them_without_secrets",
            "a_file_that_comes_changes_or_goes_is_a_change_of_the_collection_records",
        ],
    ),
    due(
        29,
        "the host may speak while realtime is off",
        &["nothing throws, running or not, whatever is said"],
    ),
    due(30, "an event is encoded once", &["an_event_is_encoded_once_for_a_thousand_members"]),
    later(31, "broker down at the start"),
    later(32, "subscriptions come back with their broker"),
    later(33, "a hanging broker holds up nobody"),
    later(34, "what timed out and was delivered is shown once"),
    later(35, "a lost subscriber connection loses nothing"),
    later(36, "no loops between nodes"),
    later(37, "a half-dead subscription is found"),
    later(38, "the breaker closes by itself, and tells"),
    later(39, "people of a killed node go"),
    due(
        40,
        "after a restart old numbers count for nothing",
        &[
            "after_a_restart_nobody_takes_old_numbers_for_new_ones",
            "who_comes_back_hears_what_it_missed_and_knows_whether_that_is_all",
        ],
    ),
    later(41, "large syncs, hostile names and prefixes on all brokers"),
    later(42, "a dead node costs a question a second at most"),
    due(
        43,
        "what is older than message_ttl is told to nobody",
        &[
            "what_is_too_old_is_told_to_nobody_before_it_is_forgotten",
            "events_that_are_too_old_are_forgotten",
        ],
    ),
    later(44, "a lost last message is found"),
    later(45, "no update is lost between subscription and sync"),
    due(
        46,
        "a stopping engine says why, says all it has to say, saves, spreads its closes, and waits for nobody for ever",
        &[
            "a_stopping_engine_does_not_end_all_connections_at_the_same_moment",
            "a_stopping_engine_says_all_it_has_to_say_and_waits_for_nobody_for_ever",
            "what_was_emitted_before_the_end_arrives",
            "shutdown_tells_clients_to_come_back",
            "shutdown_writes_back_and_a_restart_finds_every_character",
            "a client that never answers does not hold up the end",
        ],
    ),
    due(
        47,
        "metrics keep their names, and no label is a peer's",
        &["metrics_keep_their_names_and_no_label_is_a_peers", "the_table_of_metrics_is_complete"],
    ),
    due(
        48,
        "health and readiness differ while an engine drains or is degraded",
        &[
            "health_goes_on_and_readiness_ends_while_an_engine_stops",
            "what_is_degraded_and_serves_is_ready",
            "a_full_disk_loses_nothing_and_heals_by_itself",
        ],
    ),
    due(
        49,
        "two engines in a process, engines in workers that come and go: nothing is installed for all",
        &[
            "two_engines_in_a_process_share_no_rooms_no_counters_and_no_end",
            "runs two servers in one process",
            "serves from a worker thread, beside one on the main thread",
            "survives the termination of a worker that serves",
            "nothing_is_installed_for_the_whole_process_that_a_second_engine_would_miss",
        ],
    ),
    due(
        50,
        "a load test tells true round trips and what arrived, and leaves nothing",
        &[
            "a_load_test_measures_round_trips_and_leaves_nothing",
            "percentiles_are_of_what_was_measured",
        ],
    ),
    due(
        51,
        "the self-test shows what it is sent as text",
        &["the self-test joins, speaks and shows everything as text"],
    ),
    due(
        52,
        "go-deployd's samples with curl work as they are",
        &[
            "the_samples_of_go_deployds_documents_work_as_they_are",
            "bounds_are_exact_and_go_deployds_sample_is_within",
        ],
    ),
];

#[test]
fn each_check_that_is_due_names_tests_that_exist() {
    let sources = Sources::read();
    for (check, number) in CHECKS.iter().zip(1..) {
        let Check { number: own, says, tests } = check;
        assert_eq!(*own, number, "{says}");
        assert!(!says.is_empty());
        assert_eq!(tests.is_empty(), LATER.contains(own), "check {own}: {says}");
        let named: BTreeSet<_> = tests.iter().collect();
        assert_eq!(named.len(), tests.len(), "check {own} names a test twice");
        for test in *tests {
            assert!(sources.have_test(test), "check {own} ({says}): no test {test}");
        }
    }
}
