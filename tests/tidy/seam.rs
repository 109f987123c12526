//! What a back end has to write.

use crate::code::{code, without_tests};
use crate::tree::File;

/// The most methods that the trait has.
const METHODS: usize = 8;
/// Those of them that a back end must write.
const REQUIRED: usize = 4;

/// A method of a trait, and whether it is there without being written.
#[derive(Debug, PartialEq, Eq)]
struct Method<'a> {
    name: &'a str,
    line: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Required,
    Provided,
}

/// The methods of the trait whose name this is.
fn methods<'a>(code: &'a str, name: &str) -> Vec<Method<'a>> {
    let Some(head) = code.find(&format!("trait {name}:")) else { return Vec::new() };
    let Some(body) = code[head..].find('{').map(|open| head + open + 1) else { return Vec::new() };
    let (mut depth, mut at, mut found) = (0_usize, body, Vec::new());
    while let Some(character) = code[at..].chars().next() {
        let rest = &code[at..];
        match character {
            '{' | '(' | '[' => depth += 1,
            '}' if depth == 0 => break,
            '}' | ')' | ']' => depth -= 1,
            'f' if depth == 0 && rest.starts_with("fn ") && code[..at].ends_with(char::is_whitespace) => {
                let end = rest[3..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                let line = code[..at].matches('\n').count();
                found.push(Method { name: &rest[3..3 + end], line, kind: kind(rest) });
            }
            _ => {}
        }
        at += character.len_utf8();
    }
    found
}

/// Whether a body stands behind the signature, rather than its end.
fn kind(signature: &str) -> Kind {
    let mut depth = 0_usize;
    for character in signature.chars() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return Kind::Required,
            '{' if depth == 0 => return Kind::Provided,
            _ => {}
        }
    }
    Kind::Required
}

/// A seam that has grown: every method more is one that each back end has to write, or to know.
pub(crate) fn too_wide(file: &File) -> Vec<String> {
    let code = without_tests(&code(&file.text));
    let methods = methods(&code, "Repository");
    let required: Vec<_> = methods.iter().filter(|method| method.kind == Kind::Required).collect();
    let mut findings = Vec::new();
    if methods.len() > METHODS {
        let more = &methods[METHODS];
        let what = format!(
            "`{}` makes {} methods of `Repository`, which has {METHODS}: say it by one of those",
            more.name,
            methods.len()
        );
        findings.push(file.finding(more.line, what));
    }
    if required.len() != REQUIRED {
        let last = required.last().map_or(0, |method| method.line);
        let what = format!(
            "{} methods of `Repository` have no body, and {REQUIRED} must be enough: write the others in terms of these",
            required.len()
        );
        findings.push(file.finding(last, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seam(required: usize, provided: usize) -> File {
        let required = (0..required).map(|n| format!("    fn must_{n}(&self, bytes: [u8; 16]) -> u8;\n"));
        let provided = (0..provided).map(|n| {
            format!("    /// fn in_a_comment();\n    fn may_{n}(&self) -> u8 {{\n        fn inner() {{}}\n        {n}\n    }}\n")
        });
        let methods: String = required.chain(provided).collect();
        let more = "struct A;\nimpl A {\n    fn other(&self) {}\n}\n";
        File::new("contract.rs", &format!("pub trait Repository: Send {{\n{methods}}}\n{more}"))
    }

    #[test]
    fn a_seam_that_grows_is_found() {
        assert_eq!(too_wide(&seam(4, 4)), Vec::<String>::new());
        assert_eq!(too_wide(&seam(4, 3)), Vec::<String>::new());
        let ninth =
            "contract.rs:27: `may_4` makes 9 methods of `Repository`, which has 8: say it by one of those";
        assert_eq!(too_wide(&seam(4, 5)), [ninth]);
        assert_eq!(too_wide(&seam(5, 3)).len(), 1);
        assert_eq!(too_wide(&seam(3, 4)).len(), 1);
        assert_eq!(too_wide(&seam(5, 4)).len(), 2);
        assert_eq!(too_wide(&File::new("contract.rs", "")).len(), 1, "a trait that is not found");
    }
}
