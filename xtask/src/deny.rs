//! The bans and licences of `deny.toml`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{cargo, root, run, target};
use crate::step::Done;

/// Checks the dependency tree by `deny.toml`, with the `cargo deny` that is there, or one that is built for this.
pub(crate) fn check() -> Done {
    let arguments = ["check", "bans", "licenses", "sources"];
    if is_there(&mut cargo(&["deny", "--version"])) {
        return run(cargo(&["deny"]).args(arguments));
    }
    let program = built()?;
    run(Command::new(program).args(arguments).current_dir(root()).stdin(Stdio::null()))
}

/// The program below the target folder, built if it is not there yet.
fn built() -> Result<PathBuf, crate::step::Failure> {
    let tools = target().join("tools");
    let program = tools.join("bin").join("cargo-deny").with_extension(std::env::consts::EXE_EXTENSION);
    if !is_there(Command::new(&program).arg("--version")) {
        install(&tools)?;
    }
    Ok(program)
}

/// Builds without optimising: it runs once for a second, and takes minutes to optimise.
fn install(tools: &Path) -> Done {
    println!("cargo-deny is not there: it is built into {}", tools.display());
    let mut install = cargo(&["install", "cargo-deny@^0.20", "--locked", "--root"]);
    install.arg(tools).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    run(&mut install)
}

fn is_there(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
