//! Reading and writing come to rest: what was written reads as what it was written from.

use proptest::prelude::*;

use super::*;

/// Rounds until any text has come to rest. Noise needs more than one: two lists side by side, say, are written
/// as the editor's own serializer writes them, which reads as one.
const ROUNDS_MAX: usize = 4;

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "council",
            "règlement",
            "町役場",
            "מועצה",
            "😀",
            "a_b",
            "1\\*2",
            "3.",
            "#4",
            "R&D",
            "<b",
            "[x",
            "50%",
            "~",
            "|",
            "C:\\x",
            "`",
            "!",
            "&amp;",
            "- no",
            "https://example.org",
        ]),
        1..6,
    )
    .prop_map(|words| format!("so {}.", words.join(" ")))
}

fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => words(),
        1 => words().prop_map(|words| format!("*{}*", plain(&words))),
        1 => words().prop_map(|words| format!("**{}**", plain(&words))),
        1 => words().prop_map(|words| format!("`` {} ``", plain(&words))),
        1 => words().prop_map(|words| format!("[{}](https://example.org \"T\")", plain(&words))),
        1 => Just("![plan](a.png)".to_owned()),
        1 => Just("<!--civic-ref type=\"record\" id=\"r\" label=\"l\"-->".to_owned()),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| format!("In {}", pieces.join(" ")))
}

/// Words without what could end the mark around them.
fn plain(words: &str) -> String {
    words.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().trim().to_owned()
}

fn block() -> impl Strategy<Value = String> {
    let items = |mark: &'static str| {
        prop::collection::vec(line(), 1..4).prop_map(move |lines| {
            lines.iter().map(|line| format!("{mark} {line}")).collect::<Vec<_>>().join("\n")
        })
    };
    prop_oneof![
        3 => prop::collection::vec(line(), 1..4).prop_map(|lines| lines.join("\\\n")),
        1 => (1..=6usize, line()).prop_map(|(level, line)| format!("{} {line}", "#".repeat(level))),
        1 => items("*"),
        1 => items("1."),
        1 => prop::collection::vec(line(), 1..4).prop_map(|lines| format!("> {}", lines.join("\n>\n> "))),
        1 => words().prop_map(|words| format!("````rust\n{words}\n\n```\n````")),
        1 => (words(), words()).prop_map(|(a, b)| {
            format!("| {} | b |\n| --- | :-: |\n| c | {} |", plain(&a), plain(&b))
        }),
        1 => Just("---".to_owned()),
    ]
}

fn rewritten(text: &str) -> String {
    serialize(&parse(text))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_as_it_was(blocks in prop::collection::vec((block(), line()), 0..6)) {
        // A line between blocks keeps lists apart.
        let text: Vec<String> =
            blocks.into_iter().map(|(block, line)| format!("{block}\n\n{line}")).collect();
        let text = text.join("\n\n");
        let tree = parse(&text);
        let once = serialize(&tree);
        prop_assert_eq!(parse(&once), tree, "{:?}", once);
        prop_assert_eq!(&rewritten(&once), &once);
        for naming in [Naming::CivicPress, Naming::Tiptap] {
            let live = Live::named(&text, naming);
            prop_assert_eq!(&live.markdown(), &once, "through the shared document of {:?}", naming);
        }
    }

    #[test]
    fn any_text_comes_to_rest(text in "[-*_>#|`~\\[\\]()!<>a-c😀é \n\t0-9.:\\\\&;=+\"]{0,120}") {
        let mut text = rewritten(&text);
        for _ in 0..ROUNDS_MAX {
            let next = rewritten(&text);
            if next == text {
                return Ok(());
            }
            text = next;
        }
        prop_assert!(false, "it never comes to rest: {:?}", text);
    }
}
