//! How many crates of others a program gets with `cargo add prorch`.

use std::collections::BTreeSet;

use crate::command::{cargo, output};
use crate::step::{Done, Failure};

/// A light build is a feature.
const MOST: usize = 50;

/// Counts the crates that the facade needs with its default features; that `Cargo.lock` is up to date is checked with it.
pub(crate) fn check() -> Done {
    let arguments = ["tree", "--locked", "--package", "prorch", "--edges", "normal", "--prefix", "none"];
    let tree = output(&mut cargo(&arguments))?;
    let others = third_party(&tree);
    println!("{} third-party crates with default features; at most {MOST}", others.len());
    if others.is_empty() {
        return Err(Failure::new("the tree shows no crate at all: it can't be the tree of `prorch`"));
    }
    if others.len() > MOST {
        let names: Vec<_> = others.into_iter().collect();
        return Err(Failure::new(format!("too many crates: {}", names.join(", "))));
    }
    Ok(())
}

/// The crates that are not ours, each with its version, once.
fn third_party(tree: &str) -> BTreeSet<String> {
    let named = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    });
    named.filter(|(name, _)| !is_ours(name)).map(|(name, version)| format!("{name} {version}")).collect()
}

fn is_ours(name: &str) -> bool {
    name == "prorch" || name.starts_with("prorch-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_anothers_crate_counts_once() {
        let tree = "prorch v0.1.0 (/somewhere)\nprorch-core v0.1.0 (/somewhere/prorch-core)\nserde v1.0.1\n\
                    serde_derive v1.0.1 (proc-macro)\nserde v1.0.1 (*)\n\nserde v2.0.0\n";
        let expected = ["serde v1.0.1", "serde v2.0.0", "serde_derive v1.0.1"].map(String::from);
        assert_eq!(third_party(tree), BTreeSet::from(expected));
    }
}
