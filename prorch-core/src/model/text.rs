use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An immutable string that is cheap to clone: names, error texts and payloads (JSON text).
///
/// A payload travels from the step's call to the row, and from there to the next step, without being copied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from("")
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The longest error text or reason that is stored, in bytes. A longer one is cut, with a mark.
pub const MAX_REASON: usize = 4096;

/// `text` in at most `limit` bytes, cut between characters with a mark, and without NUL (which some stores refuse).
#[must_use]
pub fn bounded(text: &str, limit: usize) -> Text {
    const MARK: &str = " … (cut)";
    let clean = if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        std::borrow::Cow::from(text)
    };
    if clean.len() <= limit {
        return Text::from(&*clean);
    }
    let mut end = limit.saturating_sub(MARK.len());
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    Text::from(format!("{}{MARK}", &clean[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let cut = bounded(&"é".repeat(100), 50);
        assert!(cut.len() <= 50);
        assert!(cut.ends_with(" … (cut)"), "{cut}");
        assert_eq!(bounded("short", 50), "short");
    }

    #[test]
    fn nul_is_replaced() {
        assert_eq!(bounded("a\0b", 50), "a\u{fffd}b");
    }
}
