//! Durations as text: `500ms`, `30s`, `1m30s`.

use std::time::Duration;

/// What is said about a text that is no duration.
pub(crate) const FORM: &str = "a duration is a number and a unit (`ms`, `s`, `m`, `h` or `d`), or several of them: `500ms`, `30s`, `1m30s`";

/// The duration that `text` stands for, if it stands for one.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    // Each unit may stand once, the larger before the smaller.
    let mut limit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis = millis_of(unit).filter(|millis| *millis < limit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(part))?;
        limit = millis;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn millis_of(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        let cases = [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1m30s", 90_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_no_duration() {
        let too_long = format!("{}d", u64::MAX);
        for text in ["", "30", "s", "30 s", "-1s", "1.5s", "30sec", "1s1m", "1s1s", "é", &too_long] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
