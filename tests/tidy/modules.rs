//! Which modules of the core use which.

use crate::code::{code, without_tests, words};
use crate::table::Arrows;
use crate::tree::File;

/// The top module that a file of `…/src/` belongs to; none for the crate's root and for files of tests alone.
fn top_module(path: &str) -> Option<&str> {
    let inside = path.split("/src/").nth(1)?;
    let top = inside.split('/').next()?.trim_end_matches(".rs");
    let is_test = inside.split('/').any(|part| part.trim_end_matches(".rs") == "tests");
    (top != "lib" && !is_test).then_some(top)
}

/// The top modules that a line of code names by `crate::…`, also in a list: `crate::{a::B, c}`.
fn named(code: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = code[at + path.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(list) => named.extend(list_heads(list)),
            None => named.extend(words(rest).next()),
        }
    }
    named
}

/// The first words of the members of a list in braces, up to its end.
fn list_heads(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                heads.extend(words(&list[start..at]).next());
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads
}

/// The line (from 0) at which a part of a text stands.
fn line_of(text: &str, part: &str) -> usize {
    let at = part.as_ptr() as usize - text.as_ptr() as usize;
    text[..at].matches('\n').count()
}

/// Uses of modules that the arrows don't allow. A use is any path that begins with `crate::`; the way around by
/// `super::super` is not taken.
pub(crate) fn foreign_modules(file: &File, arrows: &Arrows) -> Vec<String> {
    let Some(module) = top_module(&file.path) else { return Vec::new() };
    let Some(allowed) = arrows.get(module) else {
        return vec![file.finding(0, format!("`{module}` has no line in the table of modules"))];
    };
    let code = without_tests(&code(&file.text));
    // Macros that are exported stand at the crate's root, whatever module they are written in.
    let is_macro = |name: &str| name.starts_with("__");
    let others = named(&code).into_iter().filter(|other| *other != module && !is_macro(other));
    let foreign = others.filter(|other| !allowed.contains(*other));
    let mut findings: Vec<_> = foreign
        .map(|other| file.finding(line_of(&code, other), format!("`{module}` may not use `{other}`")))
        .collect();
    findings.extend(code.match_indices("super::super").map(|(at, _)| {
        file.finding(code[..at].matches('\n').count(), "write `crate::…` for what is further away")
    }));
    findings
}

/// Uses of the in-memory repository by the contract beside it.
pub(crate) fn uses_memory(file: &File) -> Vec<String> {
    if file.path.ends_with("/mod.rs") || file.path.ends_with("/memory.rs") {
        return Vec::new();
    }
    let code = without_tests(&code(&file.text));
    let uses = code
        .lines()
        .enumerate()
        .filter(|(_, line)| words(line).any(|word| word == "memory" || word == "MemoryRepository"));
    uses.map(|(line, _)| file.finding(line, "the contract does not know the repository in memory")).collect()
}

#[test]
fn a_use_against_the_arrows_is_found() {
    let arrows = Arrows::from([("model".into(), [].into()), ("engine".into(), ["model".into()].into())]);
    let bad = "use crate::engine::Turn;\n// crate::engine\nfn f() { crate::{model::X, registry::{A, B}, step} }\n\
               use super::super::pipeline;\n#[cfg(test)]\nmod tests { use crate::engine::Turn; }\n";
    let findings = foreign_modules(&File::new("core/src/model/run.rs", bad), &arrows);
    let expected = [
        "core/src/model/run.rs:1: `model` may not use `engine`",
        "core/src/model/run.rs:3: `model` may not use `registry`",
        "core/src/model/run.rs:3: `model` may not use `step`",
        "core/src/model/run.rs:4: write `crate::…` for what is further away",
    ];
    assert_eq!(findings, expected);
    let good = File::new("core/src/engine.rs", "use crate::model::Run;\nuse crate::engine::Turn;\n");
    assert_eq!(foreign_modules(&good, &arrows), Vec::<String>::new());
    assert_eq!(foreign_modules(&File::new("core/src/new.rs", ""), &arrows).len(), 1);
}

#[test]
fn a_contract_that_knows_the_repository_in_memory_is_found() {
    let bad = "use super::memory::MemoryRepository;\n";
    assert_eq!(uses_memory(&File::new("repository/runs.rs", bad)).len(), 1);
    assert_eq!(uses_memory(&File::new("repository/mod.rs", bad)).len(), 0);
}
