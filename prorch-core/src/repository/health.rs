use std::fmt;

/// What somebody should look after in a store, and what to do about it; nothing while all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// One for each thing that is not as it should be.
    pub concerns: Vec<Concern>,
}

impl Health {
    /// Whether there is nothing to look after.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.concerns.is_empty()
    }

    /// Whether there is a concern of this kind.
    #[must_use]
    pub fn has(&self, kind: ConcernKind) -> bool {
        self.concerns.iter().any(|concern| concern.kind == kind)
    }
}

/// A line for each concern; *all is well* when there is none.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((last, others)) = self.concerns.split_last() else { return f.write_str("all is well") };
        others.iter().try_for_each(|concern| writeln!(f, "{concern}"))?;
        last.fmt(f)
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concern {
    /// What it is about, for a program.
    pub kind: ConcernKind,
    /// What is wrong, where, since when, and what to do about it, for a person.
    pub text: String,
}

impl Concern {
    /// A concern in words that say what to do.
    pub fn new(kind: ConcernKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a [`Concern`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConcernKind {
    /// There is no room for what is to be written. Nothing is lost: it is tried again until there is.
    NoSpace,
    /// Something that should be tidied away grows, because somebody still uses it.
    Growing,
    /// Somebody else keeps the store from being written to, for longer than it should take.
    Blocked,
    /// The store can't be used any more by this process.
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_are_lines() {
        let mut health = Health::default();
        assert!(health.is_good());
        assert_eq!(health.to_string(), "all is well");
        health.concerns.push(Concern::new(ConcernKind::NoSpace, "the disk is full: make room"));
        health.concerns.push(Concern::new(ConcernKind::Growing, "the log grows: end the reader"));
        assert_eq!(health.to_string(), "the disk is full: make room\nthe log grows: end the reader");
        assert!(!health.is_good() && health.has(ConcernKind::Growing) && !health.has(ConcernKind::Broken));
    }
}
