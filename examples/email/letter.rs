//! A letter, and the file by which it waits to be sent.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::audience::Person;
use crate::files::write_whole;

/// A letter that is written and not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) to: Person,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Letter {
    /// The letter of this campaign to this person.
    pub(crate) fn new(campaign: &str, to: Person) -> Self {
        let body = format!(
            "Dear {},\n\nthis is the newsletter \"{campaign}\". You get it once, whatever happens to the program that \
             sends it.\n",
            to.name
        );
        Self { subject: format!("Newsletter {campaign}"), body, to }
    }

    /// Puts the letter into the outbox, unless it is there, and says whether it was put there now.
    ///
    /// Its file is named by the key and the recipient. So a call that is made again finds what the one before it has
    /// put there, and nobody gets the letter twice.
    pub(crate) fn put_into(&self, outbox: &Path, key: &str) -> anyhow::Result<Put> {
        let name = format!("{key}-{}", self.to.address);
        let path = outbox.join(file_name(&name));
        let exists = path.try_exists().with_context(|| format!("can't look into `{}`", outbox.display()))?;
        if exists {
            return Ok(Put::Before);
        }
        // A mailer that watches the outbox must never see half a letter.
        write_whole(&path, self.to_eml(&name).as_bytes())?;
        Ok(Put::Now)
    }

    /// The letter as an internet message (RFC 5322). The mailer that empties the outbox adds the date.
    fn to_eml(&self, id: &str) -> String {
        let body = self.body.replace('\n', "\r\n");
        format!(
            "From: prorch <news@example.org>\r\nTo: {} <{}>\r\nSubject: {}\r\nMessage-ID: <{}@prorch.example>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}",
            words(&self.to.name),
            self.to.address,
            words(&self.subject),
            id.replace([':', '@'], ".")
        )
    }
}

/// When a letter was put into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// By this call.
    Now,
    /// By an earlier one.
    Before,
}

/// A file name that no system refuses, another one for every text.
fn file_name(text: &str) -> PathBuf {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'@' | b'+' => {
                name.push(byte.into())
            }
            other => write_hex(&mut name, '%', other),
        }
    }
    name.push_str(".eml");
    name.into()
}

/// Text for a header: as it is when it is plain, else as encoded words (RFC 2047) of at most 75 characters.
fn words(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -'!?".contains(c);
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        let mut encoded = String::new();
        c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| write_hex(&mut encoded, '=', byte));
        let letter = if c.is_ascii_alphanumeric() { c.to_string() } else { encoded };
        match words.last_mut() {
            // 75 less `=?UTF-8?Q?` and `?=`
            Some(word) if word.len() + letter.len() <= 63 => word.push_str(&letter),
            _ => words.push(letter),
        }
    }
    let words: Vec<_> = words.iter().map(|word| format!("=?UTF-8?Q?{word}?=")).collect();
    words.join("\r\n ")
}

fn write_hex(text: &mut String, mark: char, byte: u8) {
    // Writing to a string can't fail.
    let _ = write!(text, "{mark}{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(name: &str, address: &str) -> Letter {
        Letter::new("July", Person { name: name.into(), address: address.into() })
    }

    #[test]
    fn is_put_into_the_outbox_once_per_key_and_recipient() {
        let outbox = tempfile::tempdir().unwrap();
        let put = |address, key| letter("Ada", address).put_into(outbox.path(), key).unwrap();
        assert_eq!(put("a@x.org", "run:send"), Put::Now);
        assert_eq!(put("a@x.org", "run:send"), Put::Before);
        assert_eq!(put("b@x.org", "run:send"), Put::Now);
        assert_eq!(put("a@x.org", "other:send"), Put::Now);
        assert_eq!(std::fs::read_dir(outbox.path()).unwrap().count(), 3);
    }

    #[test]
    fn is_an_internet_message() {
        let eml = letter("Éva Tardos", "eva@example.org").to_eml("run:send-eva@example.org");
        let (headers, body) = eml.split_once("\r\n\r\n").unwrap();
        assert!(headers.contains("To: =?UTF-8?Q?=C3=89va=20Tardos?= <eva@example.org>"), "{headers}");
        assert!(headers.contains("Message-ID: <run.send-eva.example.org@prorch.example>"), "{headers}");
        assert!(body.starts_with("Dear Éva Tardos,\r\n\r\n"), "{body}");
        assert!(!eml.replace("\r\n", "").contains('\n'));
    }

    #[test]
    fn no_name_breaks_out_of_its_header() {
        let name = "Eve\r\nBcc: all@example.org\r\n\r\n".repeat(3);
        let eml = letter(&name, "eve@example.org").to_eml("id");
        let headers = eml.split_once("\r\n\r\n").unwrap().0;
        assert_eq!(headers.lines().filter(|line| line.starts_with("Bcc")).count(), 0, "{headers}");
        assert!(headers.lines().all(|line| line.len() <= 100), "{headers}");
        assert!(headers.contains("Subject: "), "{headers}");
    }

    #[test]
    fn names_its_file_so_that_every_system_takes_it() {
        assert_eq!(file_name("run:send-a/b@x.org"), PathBuf::from("run%3Asend-a%2Fb@x.org.eml"));
    }
}
