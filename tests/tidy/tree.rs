//! The files of the workspace.

use std::collections::BTreeMap;
use std::path::Path;

/// A text file, by its path from the workspace's root, with `/` between folders.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// What was found at this line (from 0).
    pub(crate) fn finding(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

/// All text files of the workspace.
pub(crate) struct Tree(BTreeMap<String, File>);

/// What holds nothing that was written by hand.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

impl Tree {
    pub(crate) fn read() -> Self {
        let mut tree = Self(BTreeMap::new());
        tree.read_folder(Path::new(env!("CARGO_MANIFEST_DIR")), "");
        tree
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder of the workspace can be read") {
            let entry = entry.expect("an entry of a folder can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if LEFT_OUT.contains(&&*name) {
                continue;
            }
            if entry.path().is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"));
            } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
                self.0.insert(path.clone(), File { path, text });
            }
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.0.values()
    }

    pub(crate) fn file(&self, path: &str) -> &File {
        self.0.get(path).unwrap_or_else(|| panic!("there is no file `{path}`"))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(|file| file.text.as_str())
    }

    /// Whether there is a file or a folder with this path.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    pub(crate) fn sources_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.sources().filter(move |file| file.path.starts_with(folder))
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with(".md"))
    }

    /// The manifests of the workspace's own crates; what tests build on the side has rules of its own.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.path.ends_with("Cargo.toml") && !file.path.starts_with("tests/"))
    }
}

/// That nothing was found.
#[track_caller]
pub(crate) fn none(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
