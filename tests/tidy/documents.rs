//! What stands in documents, and in any text.

use crate::tree::File;

/// Paths that exist on one machine only.
pub(crate) fn machine_paths(file: &File) -> Vec<String> {
    let homes = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
        concat!("C:", "\\Users"),
    ];
    let lines = file.text.lines().enumerate();
    let found = lines.filter(|(_, line)| homes.iter().any(|home| line.contains(home)));
    found.map(|(line, _)| file.finding(line, "this path is on one machine only")).collect()
}

/// Relative links of a document that lead to no file, or to no heading.
pub(crate) fn dead_links<'a>(
    file: &File,
    exists: &dyn Fn(&str) -> bool,
    text: &dyn Fn(&str) -> Option<&'a str>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, target) in links(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
        let path = if path.is_empty() { file.path.clone() } else { resolved(&file.path, path) };
        if !exists(&path) {
            findings.push(file.finding(line, format!("`{path}` does not exist")));
        } else if !heading.is_empty() && path.ends_with(".md") {
            let there = if path == file.path { Some(&*file.text) } else { text(&path) };
            if !headings(there.unwrap_or_default()).any(|other| other == heading) {
                findings.push(file.finding(line, format!("`{path}` has no heading `#{heading}`")));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` and `[name]: target`, each with its line; code is left out.
fn links(document: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, text) in prose(document) {
        let outside: String = text.split('`').step_by(2).collect::<Vec<_>>().join("``");
        let inline =
            outside.match_indices("](").filter_map(|(at, mark)| outside[at + mark.len()..].split(')').next());
        links.extend(inline.map(|target| (line, target.trim().to_string())));
        let definition = outside.strip_prefix('[').and_then(|text| text.split_once("]: "));
        links.extend(definition.map(|(_, target)| (line, target.trim().to_string())));
    }
    links
}

/// The lines that stand outside of code blocks.
fn prose(document: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    document.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// A path as it is seen from the folder of `from`.
fn resolved(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names by which the headings of a document are linked to.
fn headings(document: &str) -> impl Iterator<Item = String> + '_ {
    prose(document).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept =
            title.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.map(|character| if character == ' ' { '-' } else { character }).collect()
    })
}

#[test]
fn a_path_of_one_machine_is_found() {
    let bad = concat!("cd /ho", "me/somebody/prorch\n");
    assert_eq!(machine_paths(&File::new("a.md", bad)).len(), 1);
    assert_eq!(machine_paths(&File::new("a.md", "cd prorch/home\n")), Vec::<String>::new());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let document = "# The Title, of `it`\n[a](b.md) [c](../d/e.rs#L5) [f](#the-title-of-it) `[g](h)`\n\n```\n[i](j)\n```\n\
                    [k](gone.md) [l](#nowhere) [m](https://example.org/n) [o](b.md#other)\n[p]: gone.rs\n";
    let file = File::new("docs/a.md", document);
    let exists = |path: &str| ["docs/a.md", "docs/b.md", "d/e.rs"].contains(&path);
    let findings = dead_links(&file, &exists, &|_| Some("# Another\n"));
    let expected = [
        "docs/a.md:7: `docs/gone.md` does not exist",
        "docs/a.md:7: `docs/a.md` has no heading `#nowhere`",
        "docs/a.md:7: `docs/b.md` has no heading `#other`",
        "docs/a.md:8: `docs/gone.rs` does not exist",
    ];
    assert_eq!(findings, expected);
}
