//! The tables of arrows in `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};

/// Who may use whom.
pub(crate) type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table whose first column is headed by `of`: a name in backticks in the first column, what it may use in the
/// second.
pub(crate) fn arrows(document: &str, of: &str) -> Arrows {
    column(document, of, 1)
}

/// What the tests of each crate may use beside that, from the third column of the table of crates.
pub(crate) fn arrows_of_tests(document: &str) -> Arrows {
    column(document, "crate", 2)
}

fn column(document: &str, of: &str, column: usize) -> Arrows {
    let head = format!("| {of} | may use |");
    let rows = document.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let arrows: Arrows =
        rows.take_while(|line| line.starts_with('|')).filter_map(|line| row(line, column)).collect();
    assert!(!arrows.is_empty(), "`ARCHITECTURE.md` has no table that begins with `{head}`");
    arrows
}

fn row(line: &str, column: usize) -> Option<(String, BTreeSet<String>)> {
    let columns: Vec<&str> = line.trim_matches('|').split('|').collect();
    let name = in_backticks(columns.first()?).next()?;
    Some((name, in_backticks(columns.get(column)?).collect()))
}

fn in_backticks(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('`').skip(1).step_by(2).map(String::from)
}

/// A name from which the arrows lead back to itself.
pub(crate) fn circle(arrows: &Arrows) -> Option<String> {
    arrows.keys().find(|name| reached(arrows, name).contains(*name)).cloned()
}

fn reached(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_string()];
    while let Some(name) = open.pop() {
        for next in arrows.get(&name).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

#[test]
fn a_table_is_read_and_a_circle_in_it_is_found() {
    let document = "text\n\n| thing | may use | why |\n|---|---|---|\n| `a` | `b`, `c` | `x` |\n| `b` | nothing | |\n\n| `c` | `a` |\n";
    assert_eq!(column(document, "thing", 2)["a"], BTreeSet::from(["x".to_string()]));
    let mut arrows = arrows(document, "thing");
    assert_eq!(arrows.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(arrows["a"], BTreeSet::from(["b".to_string(), "c".to_string()]));
    assert_eq!(circle(&arrows), None);
    arrows.insert("c".into(), BTreeSet::from(["a".to_string()]));
    assert_eq!(circle(&arrows), Some("a".into()));
}
