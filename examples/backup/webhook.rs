//! A small HTTP client: posts JSON to an address, and wants to hear that it arrived.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, ensure};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to post to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Webhook {
    authority: String,
    address: String,
    path: String,
}

impl Webhook {
    /// The webhook with this URL, `http://host[:port][/path]`.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| {
            format!("the webhook `{url}` does not begin with http://, and nothing else is spoken here")
        })?;
        let split = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        ensure!(
            !authority.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control()),
            "the webhook `{url}` is no URL"
        );
        // The last colon of `[::1]` belongs to the address.
        let has_port = authority.rfind(':') > authority.rfind(']');
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { authority: authority.to_owned(), address, path: path.to_owned() })
    }

    /// Posts JSON under a key that is the same when it is posted again. Any answer but success is an error.
    pub(crate) fn post(&self, key: &str, json: &str) -> anyhow::Result<()> {
        let status =
            self.ask(key, json).with_context(|| format!("can't reach the webhook at {}", self.authority))?;
        ensure!(status.starts_with('2'), "the webhook at {} answered `{status}`", self.authority);
        Ok(())
    }

    fn ask(&self, key: &str, json: &str) -> anyhow::Result<String> {
        let address = self.address.to_socket_addrs()?.next().context("the name has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(self.request(key, json).as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let status = line.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/"));
        Ok(status.context("what answered does not speak HTTP")?.1.trim_end().to_owned())
    }

    fn request(&self, key: &str, json: &str) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Idempotency-Key: \"{key}\"\r\nConnection: close\r\n\r\n{json}",
            self.path,
            self.authority,
            json.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        let read = |url| Webhook::at(url).map(|webhook| (webhook.address, webhook.path)).unwrap();
        assert_eq!(read("http://host"), ("host:80".into(), "/".into()));
        assert_eq!(read("http://host:8080/a/b?c=d"), ("host:8080".into(), "/a/b?c=d".into()));
        assert_eq!(read("http://[::1]/x"), ("[::1]:80".into(), "/x".into()));
        assert_eq!(read("http://[::1]:81/x"), ("[::1]:81".into(), "/x".into()));
    }

    #[test]
    fn refuses_what_it_does_not_speak() {
        for url in
            ["https://host", "host", "http://", "http:///path", "http://host/a b", "http://host/\r\nX: y"]
        {
            assert!(Webhook::at(url).is_err(), "{url}");
        }
    }
}
