//! `--webhook`: told until it listens, and always under one key.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::bench::Bench;
use crate::example_program::{complaint, said};

/// What somebody posted.
struct Posted {
    path: String,
    key: String,
    body: Value,
}

fn read(stream: &TcpStream) -> Posted {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let mut body = vec![0; header("Content-Length: ").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let path = header("POST ").split(' ').next().unwrap().to_owned();
    Posted { path, key: header("Idempotency-Key: "), body: serde_json::from_slice(&body).unwrap() }
}

/// Answers one request after the other with these.
fn answer(listener: TcpListener, answers: &'static [&'static str]) -> thread::JoinHandle<Vec<Posted>> {
    let one = move |answer: &&str| {
        let (mut stream, _) = listener.accept().unwrap();
        let posted = read(&stream);
        write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").unwrap();
        posted
    };
    thread::spawn(move || answers.iter().map(one).collect())
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/done?by=backup", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_webhook_that_fails_is_told_again_under_the_same_key() {
    let bench = Bench::new();
    let (listener, url) = listen();
    let server = answer(listener, &["503 Busy", "204 No Content"]);
    said(&bench.run(&["--webhook", &url]));
    let receipt = bench.check();
    let posted = server.join().unwrap();
    assert_eq!(posted[0].key, posted[1].key);
    assert!(posted[0].key.contains(receipt["run"].as_str().unwrap()));
    assert_eq!(posted[0].path, "/done?by=backup");
    assert!(posted.iter().all(|posted| posted.body == receipt));
}

#[test]
fn a_webhook_that_is_down_can_be_mended() {
    let bench = Bench::new();
    let (listener, url) = listen();
    let server = answer(listener, &["500 No", "500 No", "500 No", "200 OK"]);
    let line = complaint(&bench.run(&["--webhook", &url]));
    assert!(line.contains("at step `ProcessCompletionNotification`: the webhook at"), "{line}");
    assert!(line.contains("`500 No`"), "{line}");
    said(&bench.run(&["--webhook", &url]));
    let receipt = bench.check();
    assert!(server.join().unwrap().iter().all(|posted| posted.body == receipt), "there is one receipt");
}
