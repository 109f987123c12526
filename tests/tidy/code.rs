//! Rust source, read well enough for the rules: without comments, without texts, without tests, as words.

/// What stands between two quotes, and comments, is not code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Line,
    Block(usize),
    Text,
    Raw(usize),
}

/// What is kept beside code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Texts,
}

/// The source with blanks where comments and texts stand; lines stay where they are.
pub(crate) fn code(source: &str) -> String {
    blanked(source, Keep::Nothing)
}

/// The source with blanks where comments stand.
pub(crate) fn without_comments(source: &str) -> String {
    blanked(source, Keep::Texts)
}

fn blanked(source: &str, keep: Keep) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut kept = String::with_capacity(source.len());
    let (mut at, mut part) = (0, Part::Code);
    while at < characters.len() {
        let (length, next) = token(&characters[at..], part);
        let is_text = |part| matches!(part, Part::Text | Part::Raw(_));
        let shows = match (part, next) {
            (Part::Code, Part::Code) => true,
            (from, to) => keep == Keep::Texts && (is_text(from) || is_text(to)),
        };
        for character in &characters[at..at + length] {
            kept.push(if shows || *character == '\n' { *character } else { ' ' });
        }
        (at, part) = (at + length, next);
    }
    kept
}

/// How many characters belong together here, and what part they lead into.
fn token(rest: &[char], part: Part) -> (usize, Part) {
    let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.chars().count()));
    match part {
        Part::Code if starts("//") => (2, Part::Line),
        Part::Code if starts("/*") => (2, Part::Block(1)),
        Part::Code if starts("\"") => (1, Part::Text),
        Part::Code if starts("r") => {
            raw_start(rest).map_or((word(rest), Part::Code), |(length, hashes)| (length, Part::Raw(hashes)))
        }
        Part::Code if starts("'") => (character(rest), Part::Code),
        Part::Code => (word(rest), Part::Code),
        Part::Line if starts("\n") => (1, Part::Code),
        Part::Block(1) if starts("*/") => (2, Part::Code),
        Part::Block(depth) if starts("*/") => (2, Part::Block(depth - 1)),
        Part::Block(depth) if starts("/*") => (2, Part::Block(depth + 1)),
        Part::Text if starts("\\") => (rest.len().min(2), Part::Text),
        Part::Text if starts("\"") => (1, Part::Code),
        Part::Raw(hashes) if starts(&format!("\"{}", "#".repeat(hashes))) => (1 + hashes, Part::Code),
        part => (1, part),
    }
}

/// The length of the word that begins here, so that the `r` at its end begins no raw text; else one character.
fn word(rest: &[char]) -> usize {
    rest.iter().take_while(|character| is_word(**character)).count().max(1)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of `r#"`, and its number of `#`.
fn raw_start(rest: &[char]) -> Option<(usize, usize)> {
    let hashes = rest[1..].iter().take_while(|character| **character == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some((2 + hashes, hashes))
}

/// The length of a character such as `'"'` or `'\n'`; of a lifetime only its `'`.
fn character(rest: &[char]) -> usize {
    let from = if rest.get(1) == Some(&'\\') { 3 } else { 2 };
    let end = (from..rest.len().min(12)).find(|at| rest[*at] == '\'');
    match end {
        Some(2) => 3,
        Some(end) if from == 3 => end + 1,
        _ => 1,
    }
}

/// The code without its `#[cfg(test)]` modules.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut rest = code.to_string();
    while let Some(start) = rest.find(MARK) {
        let end = item_end(&rest[start..]).map_or(rest.len(), |length| start + length);
        let blank: String = rest[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        rest.replace_range(start..end, &blank);
    }
    rest
}

/// Where the item ends that begins here: at its `;`, or at the brace that closes its body.
fn item_end(code: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in code.char_indices() {
        match character {
            ';' if depth == 0 => return Some(at + 1),
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at + 1),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The words of a line of code.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character| !is_word(character)).filter(|word| !word.is_empty())
}

#[test]
fn comments_and_texts_are_told_from_code() {
    let source = "let a = \"// no\"; // yes\n/* a /* b */ c */ let b = r#\"x \" y\"#; let c = '\"'; fn d<'e>() {} var\"z\"";
    assert_eq!(
        words(&code(source)).collect::<Vec<_>>(),
        ["let", "a", "let", "b", "let", "c", "fn", "d", "e", "var"].map(|w| w)
    );
    assert!(without_comments(source).contains("\"// no\""));
    assert!(!without_comments(source).contains("yes"));
    assert_eq!(code("a\n// b\nc").lines().count(), 3);
}

#[test]
fn test_modules_are_left_out() {
    let code =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}";
    assert_eq!(words(&without_tests(code)).collect::<Vec<_>>(), ["fn", "a", "fn", "c", "fn", "e"]);
}
