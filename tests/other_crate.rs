//! A crate of its own declares pipelines through the facade, under another name and without unsafe code.

use std::path::Path;
use std::process::Command;

/// Runs the tests of `tests/fixtures/other-crate`, with the versions that this workspace is locked to.
#[test]
fn another_crate_declares_and_runs_pipelines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = root.join("tests/fixtures/other-crate");
    // Copied anew each time: what is locked there follows what is locked here.
    let locked = std::fs::read(root.join("Cargo.lock")).expect("the workspace is locked");
    std::fs::write(fixture.join("Cargo.lock"), locked).expect("the fixture can be written to");

    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--quiet", "--manifest-path"])
        .arg(fixture.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-crate"))
        .output()
        .expect("cargo can be run");

    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.matches("test result: ok. 3 passed").count() == 1, "{out}");
    assert!(out.matches("test result: ok. 1 passed").count() == 1, "{out}");
}
