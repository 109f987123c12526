//! A place where backups are made: a tree, a vault, a database and a journal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::example_program::{Random, names_in, program};

/// The three steps, in order.
pub(crate) const STEPS: [&str; 3] = ["BackupGeneration", "BackupTransfer", "ProcessCompletionNotification"];

/// What is at a path of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    Link(PathBuf),
    File { mode: u32, content: Vec<u8> },
}

pub(crate) struct Bench {
    root: TempDir,
}

impl Bench {
    /// A bench with a small tree of everything that a tree may have.
    pub(crate) fn new() -> Self {
        let bench = Self { root: tempfile::tempdir().unwrap() };
        let source = bench.source();
        fs::create_dir_all(source.join("deep/er/and/deeper")).unwrap();
        fs::create_dir(source.join("empty directory")).unwrap();
        fs::write(source.join("empty file"), "").unwrap();
        fs::write(source.join("deep/er/grüße.txt"), "content\n").unwrap();
        fs::write(source.join("deep").join("long".repeat(40)), "a long name").unwrap();
        fs::write(source.join("runs.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(source.join("runs.sh"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink("../runs.sh", source.join("deep/link")).unwrap();
        symlink("nowhere", source.join("dangling")).unwrap();
        bench
    }

    /// Adds files that can't be compressed.
    pub(crate) fn with_noise(self, files: u64, bytes: usize) -> Self {
        let mut random = Random(files);
        for number in 0..files {
            let content: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| random.draw().to_le_bytes()).collect();
            fs::write(self.source().join(format!("noise-{number}")), content).unwrap();
        }
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path("source")
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.path("vault")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("backup.db")
    }

    /// The command with its three places and a journal.
    pub(crate) fn command(&self) -> Command {
        let mut command = program("backup");
        command.arg("--source").arg(self.source()).arg("--vault").arg(self.vault());
        command.arg("--database").arg(self.database()).arg("--journal").arg(self.path("journal"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// The names of the steps that were called, call by call, and what each call was about to do.
    pub(crate) fn journal(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.path("journal")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        };
        text.lines().map(call).collect()
    }

    /// The receipt of the one archive that there is, after everything was looked at: there is one archive, and one
    /// receipt, and nothing else; the receipt tells the truth; the archive unpacks to the tree.
    #[track_caller]
    pub(crate) fn check(&self) -> Value {
        let names = names_in(&self.vault());
        let [receipt, archive] = names.as_slice() else { panic!("in the vault: {names:?}") };
        assert_eq!(receipt.strip_suffix(".json").unwrap(), archive.strip_suffix(".tar.zst").unwrap());
        assert_eq!(names_in(&self.path("backup.db.staging")), Vec::<String>::new());
        let receipt: Value = serde_json::from_slice(&fs::read(self.vault().join(receipt)).unwrap()).unwrap();
        let archive = self.vault().join(archive);
        assert_eq!(receipt["archive"], archive.to_str().unwrap());
        let content = fs::read(&archive).unwrap();
        assert_eq!(receipt["bytes"], content.len());
        assert_eq!(receipt["sha256"], sha256(&content));
        let (expected, unpacked) = (tree(&self.source()), self.unpack(&archive));
        assert_eq!(receipt["entries"], expected.len());
        assert!(expected == unpacked, "{:?} became {:?}", expected.keys(), unpacked.keys());
        receipt
    }

    fn unpack(&self, archive: &Path) -> BTreeMap<PathBuf, Node> {
        let to = tempfile::tempdir_in(self.root.path()).unwrap();
        let file = zstd::Decoder::new(File::open(archive).unwrap()).unwrap();
        let mut tar = tar::Archive::new(file);
        tar.set_preserve_permissions(true);
        tar.unpack(to.path()).unwrap();
        tree(to.path())
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything below a directory.
fn tree(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let node = if metadata.is_dir() {
                open.push(path.clone());
                Node::Directory
            } else if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap())
            } else {
                Node::File { mode: metadata.permissions().mode(), content: fs::read(&path).unwrap() }
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), node);
        }
    }
    found
}
