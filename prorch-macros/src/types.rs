//! Looking at types as they are written.

use syn::{GenericArgument, Path, PathArguments, Type};

/// The type without the invisible groups that a `macro_rules!` leaves, and without parentheses.
pub(crate) fn ungrouped(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            _ => return ty,
        }
    }
}

/// The last name in a type's path: `Result` of `std::io::Result<T>`.
pub(crate) fn last_name(ty: &Type) -> Option<String> {
    path_of(ty)?.segments.last().map(|segment| segment.ident.to_string())
}

/// `T` of `Name<T, …>`, if `Name` is one of `names`.
pub(crate) fn argument_of<'a>(ty: &'a Type, names: &[&str]) -> Option<&'a Type> {
    let last = path_of(ty)?.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    if !names.iter().any(|name| last.ident == name) {
        return None;
    }
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn path_of(ty: &Type) -> Option<&Path> {
    match ungrouped(ty) {
        Type::Path(path) => Some(&path.path),
        _ => None,
    }
}
