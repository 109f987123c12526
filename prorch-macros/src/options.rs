//! The grammar that both attributes share: options separated by commas, each with a name that is known.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, Path, Result, Token, bracketed, parenthesized};

/// An option: its name, and how it is written.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) form: &'static str,
}

/// Reads options until the input ends; `read` gets the name of each, and reads what follows it.
pub(crate) fn read_all(
    input: ParseStream<'_>,
    known: &'static [Known],
    mut read: impl FnMut(&Known, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    while !input.is_empty() {
        let name = read_name(input, known)?;
        let option = find(&name, known)?;
        if seen.contains(&option.name) {
            return Err(syn::Error::new(name.span(), format!("`{}` is given twice: keep one", option.name)));
        }
        seen.push(option.name);
        read(option, input)?;
        if !input.is_empty() {
            input.parse::<Token![,]>().map_err(|error| {
                syn::Error::new(error.span(), "options are separated by commas: write `,` before this")
            })?;
        }
    }
    Ok(())
}

/// Nothing behind the name: that it is there says it all.
pub(crate) fn flag(option: &Known, input: ParseStream<'_>) -> Result<bool> {
    let is_alone = input.is_empty() || input.peek(Token![,]);
    if is_alone { Ok(true) } else { Err(as_written(option, &input.error("not known"))) }
}

/// `= value`.
pub(crate) fn value<T: Parse>(option: &Known, input: ParseStream<'_>) -> Result<T> {
    let read = || input.parse::<Token![=]>().and_then(|_| input.parse::<T>());
    read().map_err(|error| as_written(option, &error))
}

/// `= some::path`.
pub(crate) fn path(option: &Known, input: ParseStream<'_>) -> Result<Path> {
    let read = || input.parse::<Token![=]>().and_then(|_| Path::parse_mod_style(input));
    read().map_err(|error| as_written(option, &error))
}

/// `(value, value)`.
pub(crate) fn list<T: Parse>(option: &Known, input: ParseStream<'_>) -> Result<Vec<T>> {
    let read = || {
        let content;
        parenthesized!(content in input);
        Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
    };
    read().map_err(|error| as_written(option, &error))
}

/// `(option, option)`: what is between the parentheses.
pub(crate) fn nested(
    option: &Known,
    input: ParseStream<'_>,
    known: &'static [Known],
    read: impl FnMut(&Known, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    let open = || {
        let content;
        parenthesized!(content in input);
        Ok(content)
    };
    let content = open().map_err(|error| as_written(option, &error))?;
    read_all(&content, known, read)
}

/// `= value` or `(value, option, option)`; `read` gets what follows the name of each option.
pub(crate) fn value_with<T: Parse>(
    option: &Known,
    input: ParseStream<'_>,
    known: &'static [Known],
    read: impl FnMut(&Known, ParseStream<'_>) -> Result<()>,
) -> Result<T> {
    if input.peek(Token![=]) {
        return value(option, input);
    }
    let open = || {
        let content;
        parenthesized!(content in input);
        let value = content.parse::<T>()?;
        content.parse::<Option<Token![,]>>()?;
        Ok((value, content))
    };
    let (value, content) = open().map_err(|error| as_written(option, &error))?;
    read_all(&content, known, read)?;
    Ok(value)
}

/// `= [element, element]`, each read by `element`.
pub(crate) fn array<T>(
    option: &Known,
    input: ParseStream<'_>,
    element: fn(ParseStream<'_>) -> Result<T>,
) -> Result<(proc_macro2::Span, Vec<T>)> {
    let open = || {
        input.parse::<Token![=]>()?;
        let content;
        let brackets = bracketed!(content in input);
        Ok((brackets.span.join(), content))
    };
    let (span, content) = open().map_err(|error| as_written(option, &error))?;
    let elements = content.parse_terminated(element, Token![,])?;
    Ok((span, elements.into_iter().collect()))
}

/// The error of an option that is not written as it should be.
fn as_written(option: &Known, error: &syn::Error) -> syn::Error {
    syn::Error::new(error.span(), format!("`{}` is written like this: `{}`", option.name, option.form))
}

fn read_name(input: ParseStream<'_>, known: &[Known]) -> Result<Ident> {
    // Any identifier, so that keywords (`if`, `crate`) can be names.
    input.call(Ident::parse_any).map_err(|error| {
        syn::Error::new(error.span(), format!("an option begins with its name, one of {}", names(known)))
    })
}

fn find<'a>(name: &Ident, known: &'a [Known]) -> Result<&'a Known> {
    let written = name.to_string();
    known.iter().find(|option| option.name == written).ok_or_else(|| {
        let near = known.iter().find(|option| distance(option.name, &written) <= 2);
        let hint = near.map_or_else(String::new, |option| format!(" (did you mean `{}`?)", option.name));
        let text = format!("there is no option `{written}`{hint}: the options are {}", names(known));
        syn::Error::new(name.span(), text)
    })
}

fn names(known: &[Known]) -> String {
    let quoted: Vec<String> = known.iter().map(|option| format!("`{}`", option.name)).collect();
    quoted.join(", ")
}

/// How many letters have to be put in, left out or exchanged to make one of the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for at in 0..other.len() {
            let exchanged = diagonal + usize::from(letter != other[at]);
            diagonal = row[at + 1];
            row[at + 1] = exchanged.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_letters_that_differ() {
        assert_eq!(distance("timeout", "timeout"), 0);
        assert_eq!(distance("timeout", "timout"), 1);
        assert_eq!(distance("poll", "pool"), 1);
        assert_eq!(distance("retry", "rerty"), 2);
        assert_eq!(distance("", "name"), 4);
    }
}
