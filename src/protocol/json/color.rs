//! People's colours: the ones the pages give them (`web/src/realtime/colors.ts`), so that a person looks the
//! same to every client.

const COLORS: [&str; 12] = [
    "#2471ca", "#d22d64", "#1b814e", "#b7550f", "#8957ce", "#137d87", "#d1372c", "#507d24",
    "#b143b1", "#8c6c0b", "#5b65d6", "#427b71",
];

/// The same colour for the same person, everywhere and always.
pub fn color_of(user_id: &str) -> &'static str {
    // FNV-1a over UTF-16, as JavaScript reads text.
    let hash = user_id
        .encode_utf16()
        .fold(0x811c_9dc5_u32, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193));
    COLORS.get(hash as usize % COLORS.len()).copied().unwrap_or("#2471ca")
}

/// Whether a text is `#rrggbb`.
pub fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#');
    digits.is_some_and(|digits| {
        digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by the pages' own code.
    #[test]
    fn people_look_as_they_do_on_the_pages() {
        let page = include_str!("../../../web/src/realtime/colors.ts");
        let listed: Vec<_> = page.split('\'').filter(|part| is_color(part)).collect();
        assert_eq!(listed, COLORS);
        assert_eq!(
            [color_of("ada"), color_of("user-7"), color_of("é😀")],
            ["#507d24", "#d1372c", "#8c6c0b"]
        );
    }

    #[test]
    fn only_six_digits_are_a_color() {
        assert!(is_color("#3b82f6") && is_color("#ABCDEF"));
        for other in ["", "#fff", "red", "#3b82fg", "3b82f6", "#3b82f6;", "#3b82fé"] {
            assert!(!is_color(other), "{other}");
        }
    }
}
