//! Who is written to: a text file with one `Name <address>` a line.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// Somebody who is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// How they are addressed.
    pub(crate) name: String,
    /// Their e-mail address.
    pub(crate) address: String,
}

/// The people in this text, everybody once, without those who have unsubscribed (a line that begins with `-`).
pub(crate) fn read(text: &str) -> anyhow::Result<Vec<Person>> {
    let mut unsubscribed = BTreeSet::new();
    let mut people = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (entry, leaves) = line.strip_prefix('-').map_or((line, false), |entry| (entry.trim(), true));
        let person = person(entry).with_context(|| format!("line {number}, `{line}`"))?;
        if leaves {
            unsubscribed.insert(mailbox(&person));
        } else {
            people.push(person);
        }
    }
    let mut known = unsubscribed;
    people.retain(|person| known.insert(mailbox(person)));
    Ok(people)
}

/// `Name <address>`, or an address alone.
fn person(entry: &str) -> anyhow::Result<Person> {
    let (name, address) = match entry.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix('>').context("a `>` is missing at the end")?),
        None => (entry, entry),
    };
    let (local, domain) = address.split_once('@').context("there is no address in it")?;
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c);
    ensure!(
        !local.is_empty() && !domain.is_empty() && local.chars().chain(domain.chars()).all(is_plain),
        "`{address}` is no e-mail address"
    );
    let name = if name.is_empty() { address } else { name };
    Ok(Person { name: name.into(), address: address.into() })
}

/// What makes two entries one person.
fn mailbox(person: &Person) -> String {
    person.address.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        read(text).unwrap().into_iter().map(|person| person.name).collect()
    }

    #[test]
    fn everybody_once_and_nobody_who_left() {
        let text = "# list\n\nAda <a@x.org>\n- Bob <b@x.org>\nBOB <B@X.org>\nAda L. <A@x.org>\nc@x.org\n";
        assert_eq!(names(text), ["Ada", "c@x.org"]);
    }

    #[test]
    fn unsubscribing_counts_wherever_it_stands() {
        assert!(names("Ada <a@x.org>\n-a@x.org\n").is_empty());
    }

    #[test]
    fn names_the_line_that_it_cannot_read() {
        for (text, reason) in [("A <a@x.org>\nnobody", "no address"), ("\nA <a@x.org", "a `>` is missing")] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains("line 2") && error.contains(reason), "{error}");
        }
        assert!(read("A <a b@x.org>").is_err());
        assert!(read("A <a@x.org, b@x.org>").is_err());
    }
}
