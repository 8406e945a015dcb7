//! Names of hosts in and out of Punycode (RFC 3492), label by label, without any mapping of letters: what a
//! browser does with a name is the browser's business.

const PREFIX: &str = "xn--";
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const BIAS: u32 = 72;
const FIRST: u32 = 0x80;

/// A name with every label in ASCII; nothing if that cannot be.
pub(super) fn to_ascii(name: &str) -> Option<String> {
    labels(name, |label| {
        if label.is_ascii() {
            Some(label.to_owned())
        } else {
            Some(PREFIX.to_owned() + &encode(label)?)
        }
    })
}

/// A name with every label as it is read; nothing if one is not Punycode.
pub(super) fn to_unicode(name: &str) -> Option<String> {
    labels(name, |label| match label.strip_prefix(PREFIX) {
        Some(code) => decode(&code.to_lowercase()),
        None => Some(label.to_owned()),
    })
}

fn labels(name: &str, respell: impl Fn(&str) -> Option<String>) -> Option<String> {
    let labels: Option<Vec<String>> =
        name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).map(respell).collect();
    labels.map(|labels| labels.join("."))
}

fn encode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let mut handled = basic;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias) = (FIRST, 0u32, BIAS);
    let count = u32::try_from(label.chars().count()).ok()?;
    while handled < count {
        let next = label.chars().map(u32::from).filter(|code| *code >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for code in label.chars().map(u32::from) {
            if code < n {
                delta = delta.checked_add(1)?;
            }
            if code == n {
                let mut rest = delta;
                for k in (BASE..).step_by(BASE as usize) {
                    let t = threshold(k, bias);
                    if rest < t {
                        break;
                    }
                    out.push(digit(t + (rest - t) % (BASE - t)));
                    rest = (rest - t) / (BASE - t);
                }
                out.push(digit(rest));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

fn decode(code: &str) -> Option<String> {
    let (basic, code) = match code.rsplit_once('-') {
        // A dash at the beginning is no border, but no digit either.
        Some(("", _)) | None => ("", code),
        Some(parts) => parts,
    };
    if !basic.is_ascii() {
        return None;
    }
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut at, mut bias) = (FIRST, 0u32, BIAS);
    let mut digits = code.chars();
    while !digits.as_str().is_empty() {
        let before = at;
        let mut weight = 1u32;
        for k in (BASE..).step_by(BASE as usize) {
            let value = digits.next()?.to_digit(BASE)?;
            // Letters come before figures.
            let value = if value < 10 { value + 26 } else { value - 10 };
            at = at.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
        }
        let count = u32::try_from(out.len()).ok()? + 1;
        bias = adapt(at - before, count, before == 0);
        n = n.checked_add(at / count)?;
        at %= count;
        out.insert(usize::try_from(at).ok()?, char::from_u32(n)?);
        at += 1;
    }
    Some(out.into_iter().collect())
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn digit(value: u32) -> char {
    let value = if value < 26 { value + 10 } else { value - 26 };
    char::from_digit(value, BASE).unwrap_or('a')
}

fn adapt(delta: u32, count: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / count;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let table = [
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
            ("a😀.x", "xn--a-jv3s.x"),
            ("plain.org", "plain.org"),
        ];
        for (name, code) in table {
            assert_eq!(to_ascii(name).as_deref(), Some(code));
            assert_eq!(to_unicode(code).as_deref(), Some(name));
        }
        for broken in ["xn--ü-", "xn--99999999", "xn--!", "xn---"] {
            assert_eq!(to_unicode(broken), None, "{broken}");
        }
    }
}
