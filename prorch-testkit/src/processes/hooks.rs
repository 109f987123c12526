//! Named places in a step at which a test holds it up, outside of any write.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prorch_core::repository::RunId;

/// How often a step looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where steps wait until they are released: a file for each that came, and one for each hook that is open.
#[derive(Clone, Debug)]
pub(super) struct Hooks {
    directory: PathBuf,
}

impl Hooks {
    pub(super) fn new(directory: &Path) -> Self {
        let directory = directory.join("hooks");
        std::fs::create_dir_all(&directory).expect("a directory for the hooks");
        Self { directory }
    }

    /// Waits until the hook is released.
    pub(super) async fn wait(&self, name: &str, run: RunId) -> std::io::Result<()> {
        File::create(self.directory.join(format!("{name}.{}.{run}", std::process::id())))?;
        while !self.release_of(name).exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Lets go on all that wait at the hook, or ever come to it.
    pub(super) fn release(&self, name: &str) {
        File::create(self.release_of(name)).expect("the hook can be released");
    }

    /// In which processes which runs came to the hook.
    pub(super) fn reached(&self, name: &str) -> Vec<(u32, RunId)> {
        let entries = std::fs::read_dir(&self.directory).expect("the hooks can be read");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|file| reached(&file, name)).collect()
    }

    fn release_of(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.released"))
    }
}

fn reached(file: &str, hook: &str) -> Option<(u32, RunId)> {
    let (pid, run) = file.strip_prefix(hook)?.strip_prefix('.')?.split_once('.')?;
    Some((pid.parse().ok()?, run.parse().ok()?))
}
