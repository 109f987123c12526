//! The library that is preloaded: how it is made, and what its log says.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::{Event, EventKind};

const SOURCE: &str = include_str!("../../shim/disk.c");

/// Compiles the library to `to`, by the compiler that `CC` names or else `cc`.
pub(super) fn compile(to: &Path) -> io::Result<()> {
    let source = to.with_extension("c");
    fs::write(&source, SOURCE)?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let done = Command::new(compiler)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o"])
        .args([to, &source])
        .arg("-ldl")
        .output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("the disk's library can't be compiled: {said}")))
}

/// Reads a line of the log.
pub(super) fn event(line: &str) -> io::Result<Event> {
    let unknown = || io::Error::other(format!("a line of the disk's log can't be read: {line}"));
    // A name may hold blanks.
    let (what, rest) = line.split_once(' ').ok_or_else(unknown)?;
    let (file, process) = rest.rsplit_once(' ').ok_or_else(unknown)?;
    let kind = match what {
        "synced" => EventKind::Synced,
        "ignored" => EventKind::Ignored,
        "failed" => EventKind::Failed,
        "full" => EventKind::Full,
        "frozen" => EventKind::Frozen,
        "cut" => EventKind::Cut,
        _ => return Err(unknown()),
    };
    Ok(Event { kind, file: file.into(), process: process.parse().map_err(|_| unknown())? })
}
