//! What stands in the `.rs` files.

use crate::code::{code, without_comments, without_tests, words};
use crate::tree::File;

/// Words that only code with clocks, chance, waiting or I/O needs.
const IMPURE: [&str; 22] = [
    "tokio",
    "futures",
    "async",
    "await",
    "Instant",
    "SystemTime",
    "now_v7",
    "new_v4",
    "rand",
    "fastrand",
    "getrandom",
    "fs",
    "net",
    "io",
    "env",
    "process",
    "thread",
    "tracing",
    "println",
    "eprintln",
    "rusqlite",
    "tokio_postgres",
];

/// Words of code in the model that don't belong there, or that name SQL.
pub(crate) fn impure(file: &File) -> Vec<String> {
    let code = without_tests(&code(&file.text));
    let found = code
        .lines()
        .enumerate()
        .flat_map(|(line, text)| words(text).filter(|word| is_impure(word)).map(move |word| (line, word)));
    found.map(|(line, word)| file.finding(line, format!("`{word}` does not belong into the model"))).collect()
}

fn is_impure(word: &str) -> bool {
    IMPURE.contains(&word) || word.to_lowercase().contains("sql")
}

/// Code in a file that should only hand on what others define.
pub(crate) fn more_than_exports(file: &File) -> Vec<String> {
    const ITEMS: [&str; 10] =
        ["fn", "struct", "enum", "trait", "impl", "static", "const", "type", "macro_rules", "let"];
    let code = code(&file.text);
    let items = code.lines().enumerate().filter(|(_, line)| words(line).any(|word| ITEMS.contains(&word)));
    items.map(|(line, _)| file.finding(line, "define this in a crate of its own and re-export it")).collect()
}

/// The most lines that a file has.
const LONGEST: usize = 500;

/// A file that should be two.
pub(crate) fn too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let finding = || file.finding(LONGEST, format!("{lines} lines are too many: find the two things in it"));
    if lines > LONGEST { vec![finding()] } else { Vec::new() }
}

/// The macros that put values into a text.
const FORMATTING: [&str; 4] = ["format!(", "format_args!(", "write!(", "writeln!("];

/// SQL that is put together at run time. What differs from call to call is a bound parameter.
pub(crate) fn formatted_sql(file: &File) -> Vec<String> {
    let code = without_comments(&file.text);
    let mut findings = Vec::new();
    for name in FORMATTING {
        for (at, _) in code.match_indices(name) {
            let text = code[at..].split('"').nth(1).unwrap_or_default();
            if is_sql(text) {
                findings.push(
                    file.finding(code[..at].matches('\n').count(), "SQL is a constant; bind what differs"),
                );
            }
        }
    }
    findings
}

/// Whether a text is a statement or a piece of one, by its words in capitals.
fn is_sql(text: &str) -> bool {
    const BEGIN: [&str; 14] = [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "REPLACE",
        "CREATE",
        "ALTER",
        "DROP",
        "PRAGMA",
        "ATTACH",
        "WITH",
        "BEGIN",
        "SAVEPOINT",
        "VACUUM",
    ];
    const WITHIN: [&str; 8] =
        [" FROM ", " WHERE ", " VALUES", " SET ", " AND ", " ORDER BY ", " LIMIT ", " IN ("];
    let first = text.split_whitespace().next().unwrap_or_default();
    BEGIN.contains(&first) || WITHIN.iter().any(|word| text.contains(word))
}

/// Work that was put off, and tests that are not run.
pub(crate) fn undone(file: &File) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[ig", "nore")];
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
    found.map(|(line, _)| file.finding(line, "finish it, or leave it out")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_sql_in_the_model_are_found() {
        let bad = "//! Nothing draws a rand here, tokio is a word of a comment.\nuse std::time::{Duration, Instant};\n\
                   fn f() -> SqlValue { std::fs::read() }\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(impure(&File::new("model/a.rs", bad)).len(), 3);
    }

    #[test]
    fn code_in_the_facade_is_found() {
        let facade = "//! fn in a comment\npub use core::{step, Type};\npub mod prelude {\n    pub use crate::step;\n}\n";
        assert_eq!(more_than_exports(&File::new("lib.rs", facade)), Vec::<String>::new());
        assert_eq!(
            more_than_exports(&File::new("lib.rs", "pub use a::b;\npub fn c() {}\n")),
            ["lib.rs:2: define this \
                    in a crate of its own and re-export it"]
        );
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(too_long(&File::new("a.rs", &"\n".repeat(LONGEST))), Vec::<String>::new());
        assert_eq!(too_long(&File::new("a.rs", &"\n".repeat(LONGEST + 1))).len(), 1);
    }

    #[test]
    fn sql_that_is_put_together_is_found() {
        let bad = concat!("let sql = for", "mat!(\"SELECT id FROM {table}\");\n");
        let piece = concat!("write", "!(sql, \" AND key = '{key}'\");\n");
        let good = concat!("const SQL: &str = \"SELECT 1\";\nfor", "mat!(\"can't read from {path}\");\n");
        assert_eq!(formatted_sql(&File::new("a.rs", bad)).len(), 1);
        assert_eq!(formatted_sql(&File::new("a.rs", piece)).len(), 1);
        assert_eq!(formatted_sql(&File::new("a.rs", good)), Vec::<String>::new());
    }

    #[test]
    fn what_is_put_off_is_found() {
        let bad = concat!("// TO", "DO: later\n#[ig", "nore = \"slow\"]\nfn f() {}\n");
        assert_eq!(undone(&File::new("a.rs", bad)).len(), 2);
    }
}
