//! Commands at the workspace's root.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::step::{Done, Failure};

/// The folder that the workspace lives in.
///
/// Cargo says at each start where this program's package is; what was true when it was compiled may be another tree.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Cargo with these arguments: the one that started this program, so that the toolchain stays the same.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a command to its end and lets it speak for itself.
pub(crate) fn run(command: &mut Command) -> Done {
    let status = command.status().map_err(|error| unstartable(command, &error))?;
    check(command, status)
}

/// Runs a command to its end and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| unstartable(command, &error))?;
    check(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The failure of a command that did not end well.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Done {
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{}` ended with {status}", shown(command))))
    }
}

/// The failure of a command that could not be started.
pub(crate) fn unstartable(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("`{}` can't be started: {error}", shown(command)))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}
