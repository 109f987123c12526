//! What stands in the `Cargo.toml` files.

use crate::table::Arrows;
use crate::tree::File;

/// What every crate must be told by the workspace's lints.
const LINTS: [(&str, &str, &str); 3] =
    [("rust", "missing_docs", "deny"), ("rust", "unsafe_code", "deny"), ("clippy", "unwrap_used", "warn")];

/// A line `key = value` in the section `[section]`.
struct Entry<'a> {
    line: usize,
    section: &'a str,
    key: &'a str,
    value: &'a str,
}

fn entries(manifest: &File) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut entries = Vec::new();
    for (line, text) in manifest.text.lines().enumerate() {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.split(']').next()) {
            section = name;
        } else if let Some((key, value)) = text.split_once('=').filter(|_| !text.starts_with('#')) {
            entries.push(Entry { line, section, key: key.trim(), value: value.trim() });
        }
    }
    entries
}

fn value<'a>(manifest: &'a File, section: &str, key: &str) -> Option<&'a str> {
    let found = entries(manifest).into_iter().find(|entry| entry.section == section && entry.key == key);
    found.map(|entry| entry.value.trim_matches('"'))
}

fn is_ours(name: &str) -> bool {
    name == "prorch" || name.starts_with("prorch-")
}

/// A dependency of one of our crates on another.
struct Own {
    line: usize,
    name: String,
    section: String,
}

/// The crate's name and the dependencies of it that are ours.
fn own_dependencies(manifest: &File) -> (String, Vec<Own>) {
    let name = value(manifest, "package", "name").unwrap_or_default().to_string();
    let mut found = Vec::new();
    for (line, text) in manifest.text.lines().enumerate() {
        if let Some(section) = text.trim().strip_prefix('[').and_then(|text| text.split(']').next()) {
            let last = section.rsplit('.').next().unwrap_or_default();
            if section.contains("dependencies.") && is_ours(last) {
                found.push(Own { line, name: last.into(), section: section.into() });
            }
        }
    }
    for entry in entries(manifest) {
        let package = entry.value.split("package = \"").nth(1).and_then(|text| text.split('"').next());
        let named = package.unwrap_or(entry.key.split('.').next().unwrap_or_default());
        if entry.section.ends_with("dependencies")
            && !entry.section.starts_with("workspace")
            && is_ours(named)
        {
            found.push(Own { line: entry.line, name: named.into(), section: entry.section.into() });
        }
    }
    (name, found)
}

/// Dependencies on our own crates that the arrows don't allow; those of tests have `in_tests` too.
pub(crate) fn foreign_crates(manifest: &File, arrows: &Arrows, in_tests: &Arrows) -> Vec<String> {
    let (name, dependencies) = own_dependencies(manifest);
    let (Some(allowed), Some(more)) = (arrows.get(&name), in_tests.get(&name)) else {
        return vec![manifest.finding(0, format!("`{name}` has no line in the table of crates"))];
    };
    let is_allowed = |own: &Own| {
        allowed.contains(&own.name) || own.section.contains("dev-dependencies") && more.contains(&own.name)
    };
    let foreign = dependencies.iter().filter(|own| !is_allowed(own));
    foreign.map(|own| manifest.finding(own.line, format!("`{name}` may not use `{}`", own.name))).collect()
}

/// Our crates in `[workspace.dependencies]` that are not asked for by exactly the workspace's version.
pub(crate) fn versions_apart(root: &File) -> Vec<String> {
    let version = value(root, "workspace.package", "version").unwrap_or_default();
    let pinned = format!("version = \"={version}\"");
    let ours = entries(root).into_iter().filter(|entry| entry.section == "workspace.dependencies");
    ours.filter(|entry| entry.key.starts_with("prorch-") && !entry.value.contains(&pinned))
        .map(|entry| root.finding(entry.line, format!("write `{pinned}`")))
        .collect()
}

/// A crate that has a version, or asks for a version of another of ours, by itself.
pub(crate) fn own_version(manifest: &File) -> Vec<String> {
    let mut findings = Vec::new();
    if value(manifest, "package", "version.workspace") != Some("true") {
        findings.push(manifest.finding(0, "write `version.workspace = true`"));
    }
    for entry in entries(manifest) {
        let depends = entry.section.ends_with("dependencies") && !entry.section.starts_with("workspace");
        let shared = entry.key.ends_with(".workspace") || entry.value.contains("workspace = true");
        if depends && is_ours(entry.key.split('.').next().unwrap_or_default()) && !shared {
            findings.push(manifest.finding(entry.line, "take our own crates from the workspace"));
        }
    }
    findings
}

/// Lints that the workspace does not set.
pub(crate) fn lints_left_out(root: &File) -> Vec<String> {
    let missing = LINTS
        .into_iter()
        .filter(|(tool, lint, level)| value(root, &format!("workspace.lints.{tool}"), lint) != Some(level));
    missing.map(|(tool, lint, level)| root.finding(0, format!("set `{tool}::{lint}` to `{level}`"))).collect()
}

/// A crate that does not take the workspace's lints.
pub(crate) fn no_lints(manifest: &File) -> Vec<String> {
    let takes = value(manifest, "lints", "workspace") == Some("true");
    if takes { Vec::new() } else { vec![manifest.finding(0, "write `[lints]` and `workspace = true`")] }
}

#[test]
fn a_dependency_against_the_arrows_is_found() {
    let arrows = Arrows::from([("prorch-core".into(), ["prorch-macros".into()].into())]);
    let in_tests = Arrows::from([("prorch-core".into(), ["prorch-testkit".into()].into())]);
    let bad = "[package]\nname = \"prorch-core\"\n[dependencies]\nserde.workspace = true\nprorch-sqlite.workspace = true\n\
               renamed = { package = \"prorch\" }\nprorch-macros.workspace = true\nprorch-testkit.workspace = true\n\
               [dev-dependencies]\nprorch-testkit.workspace = true\n[dev-dependencies.prorch-bench]\n";
    let findings = foreign_crates(&File::new("Cargo.toml", bad), &arrows, &in_tests);
    let expected = ["prorch-bench", "prorch-sqlite", "prorch", "prorch-testkit"];
    assert_eq!(findings.len(), expected.len(), "{findings:?}");
    for (finding, name) in findings.iter().zip(expected) {
        assert!(finding.ends_with(&format!("may not use `{name}`")), "{finding}");
    }
    let unknown = File::new("Cargo.toml", "[package]\nname = \"prorch-new\"\n");
    assert_eq!(foreign_crates(&unknown, &arrows, &in_tests).len(), 1);
}

#[test]
fn a_version_out_of_step_is_found() {
    let root = "[workspace.package]\nversion = \"1.2.0\"\n[workspace.dependencies]\nserde = \"1\"\n\
                prorch-core = { path = \"prorch-core\", version = \"1.2.0\" }\n\
                prorch-macros = { path = \"prorch-macros\", version = \"=1.2.0\" }\n";
    assert_eq!(versions_apart(&File::new("Cargo.toml", root)).len(), 1);
    let own = "[package]\nversion = \"1.2.0\"\n[dependencies]\nprorch-core = { path = \"../prorch-core\" }\n";
    assert_eq!(own_version(&File::new("a/Cargo.toml", own)).len(), 2);
    let good = "[package]\nversion.workspace = true\n[dependencies]\nprorch-core = { workspace = true, optional = true }\n";
    assert_eq!(own_version(&File::new("a/Cargo.toml", good)), Vec::<String>::new());
}

#[test]
fn lints_that_are_left_out_are_found() {
    let root =
        File::new("Cargo.toml", "[workspace.lints.rust]\nmissing_docs = \"warn\"\nunsafe_code = \"deny\"\n");
    assert_eq!(lints_left_out(&root).len(), 2);
    assert_eq!(no_lints(&File::new("a/Cargo.toml", "[package]\nname = \"a\"\n")).len(), 1);
    assert_eq!(no_lints(&File::new("a/Cargo.toml", "[lints]\nworkspace = true\n")).len(), 0);
}
