//! Records that hold what the editor's document cannot: read only, and never saved without it.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use yrs::{Transact, WriteTxn, XmlElementPrelim, XmlFragment, XmlFragmentRef, XmlOut};

use civicpress_realtime::protocol::sync;

use crate::{
    records::{add_paragraph, blocks, until_xml, xml},
    support::{
        Client, FakeHost, Server, client::Frame, eventually, json_client::JsonClient,
        server::config,
    },
};

const EDITOR: &str = "editor:ada";
const LOSSY: &str =
    "---\ntitle: A\n---\n\n# Title\n\nFees<sup>1</sup> apply.\n\n<!-- ask finance -->\n";
const WHOLE: &str = "---\ntitle: A\n---\n\n# Title\n\nFees¹ apply.\n";

fn until_notice(client: &mut Client, code: &str) -> Value {
    let is_it = |frame: &Frame| matches!(frame, Frame::Json(json) if json["code"] == code);
    if let Some(Frame::Json(json)) = client.seen.iter().find(|frame| is_it(frame)) {
        return json.clone();
    }
    let Frame::Json(json) = client.until(is_it) else { unreachable!() };
    json
}

/// What the session was last told it may do, once that is `can_edit`.
fn until_can_edit(client: &mut Client, can_edit: bool) {
    let told = |frames: &[Frame]| {
        frames.iter().rev().find_map(|frame| match frame {
            Frame::Json(json) if json["event"] == "connection.ack" => json["canEdit"].as_bool(),
            _ => None,
        })
    };
    while told(&client.seen) != Some(can_edit) {
        client.next();
    }
}

fn snapshot(server: &Server) {
    server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
}

#[test]
fn a_record_that_would_lose_something_opens_read_only_until_it_would_not() {
    let server = Server::with(config(), FakeHost::with_record("a", LOSSY));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    let notice = until_notice(&mut ada, "RECORD_LOSSY");
    assert_eq!(notice["notice"]["level"], "warning");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("line 7 (HTML: <sup>), and 2 more"), "{message}");
    until_can_edit(&mut ada, false);
    assert_eq!(blocks(&ada), ["heading", "paragraph"], "it is shown all the same");
    add_paragraph(&mut ada, "Typed.");
    eventually("refused", || server.engine().metrics().updates_readonly.get() == 1);
    snapshot(&server);
    assert_eq!((server.host.record("a").as_str(), server.host.saves.load(Relaxed)), (LOSSY, 0));
    assert!(server.host.hook_names().contains(&"realtime:record:lossy"));

    server.host.change("a", WHOLE);
    until_notice(&mut ada, "RECORD_WHOLE");
    until_can_edit(&mut ada, true);
    eventually("what was refused is asked for and written", || {
        // Answers what the server asks.
        ada.settle(std::time::Duration::from_millis(20));
        snapshot(&server);
        server.host.record("a") == format!("{WHOLE}\nTyped.\n")
    });
}

#[test]
fn what_comes_from_outside_is_not_saved_over_and_nothing_typed_is_lost() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", WHOLE));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Typed.");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    let outside = format!("{WHOLE}\n<div>A box</div>\n\nBelow it.\n");
    server.host.change("a", &outside);
    until_notice(&mut ada, "RECORD_LOSSY");
    until_can_edit(&mut ada, false);
    until_xml(&mut ada, "Below it.");
    assert!(xml(&ada).contains("Typed."));
    drop(ada);
    eventually("it leaves memory", || server.engine().rooms().is_empty());
    assert_eq!(server.host.record("a"), outside);

    // Neither does the next opening forget it.
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    until_notice(&mut ada, "RECORD_LOSSY");
    server.host.change("a", &outside.replace("<div>A box</div>\n\n", ""));
    until_can_edit(&mut ada, true);
    eventually("both are in the source", || {
        let text = server.host.record("a");
        text.contains("Typed.") && text.contains("Below it.")
    });
}

/// The cell's paragraph.
fn cell(txn: &yrs::TransactionMut<'_>, root: &XmlFragmentRef) -> yrs::XmlElementRef {
    let mut node = root.get(txn, 0).unwrap();
    for index in [1, 0, 0] {
        let XmlOut::Element(element) = node else { panic!("no element") };
        node = element.get(txn, index).unwrap();
    }
    let XmlOut::Element(paragraph) = node else { panic!("no paragraph") };
    paragraph
}

fn edit_cell(
    client: &mut Client,
    edit: impl FnOnce(&mut yrs::TransactionMut<'_>, &yrs::XmlElementRef),
) {
    let update = {
        let mut txn = client.doc.transact_mut();
        let root = txn.get_or_insert_xml_fragment("default");
        let paragraph = cell(&txn, &root);
        edit(&mut txn, &paragraph);
        txn.encode_update_v1()
    };
    client.send(sync::update(&update));
}

#[test]
fn a_line_break_in_a_cell_of_our_own_is_no_loss_and_may_be_deleted() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", "| a |\n| --- |\n| b |\n"));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    edit_cell(&mut ada, |txn, paragraph| {
        paragraph.push_back(txn, XmlElementPrelim::empty("hard_break"));
        paragraph.push_back(txn, yrs::XmlTextPrelim::new("c"));
    });
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    drop(ada);
    eventually("written", || server.host.record("a").ends_with("| b<br>c |\n"));
    eventually("closed", || server.engine().rooms().is_empty());

    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    edit_cell(&mut ada, |txn, paragraph| paragraph.remove(txn, 1));
    eventually("taken", || server.engine().metrics().updates_applied.get() == 2);
    drop(ada);
    eventually("written", || server.host.record("a").ends_with("| bc |\n"));
}

#[test]
fn clients_that_speak_json_are_told_too() {
    let server = Server::with(config(), FakeHost::with_record("a", LOSSY));
    let mut ada = JsonClient::join(&server.url("records/a"), EDITOR);
    let told = ada.until_event("notice");
    assert_eq!(told["code"], "RECORD_LOSSY");
    assert_eq!(told["notice"]["level"], json!("warning"));
}
