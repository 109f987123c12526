use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Fields, Path, Token, Type};

use super::placed;
use crate::valid::{DERIVED, GoodOptions};

/// The attributes that a struct or an enum gets, and its definition as a step.
pub(crate) fn type_step(
    private: &TokenStream,
    item: &DeriveInput,
    options: &GoodOptions,
) -> (TokenStream, TokenStream) {
    let derived = derived_below(&item.attrs);
    let wanted =
        |name: &str| options.derive.as_ref().is_none_or(|derive| derive.iter().any(|other| other == name));
    let added: Vec<&str> = DERIVED
        .into_iter()
        .filter(|name| wanted(name) && !derived.iter().any(|other| other == name))
        .collect();
    let has_fields = matches!(&item.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    let is_decoded = added.contains(&"Deserialize") || derived.iter().any(|name| name == "Deserialize");
    let default =
        (has_fields && is_decoded && !says(&item.attrs, "default")).then(|| quote!(#[serde(default)]));
    let derives = derives(private, &item.ident, &added, &item.attrs);
    let definition = definition(private, &item.ident, options, &[], &TokenStream::new());
    (quote!(#derives #default), definition)
}

/// `#[derive(…)]` for these traits, by way of the serde that prorch has.
///
/// Written at the item's name: there an error of the derived code is told.
pub(super) fn derives(
    private: &TokenStream,
    ident: &Ident,
    names: &[&str],
    attrs: &[Attribute],
) -> TokenStream {
    if names.is_empty() {
        return TokenStream::new();
    }
    let paths = names.iter().map(|name| {
        let name = Ident::new(name, ident.span());
        let path = if name == "Default" { quote!(::core::default) } else { quote!(#private::serde) };
        let path = placed(path, ident.span());
        quote_spanned!(ident.span()=> #path::#name)
    });
    let by_serde = names.iter().any(|name| *name != "Default") && !says(attrs, "crate");
    let serde = by_serde.then(|| {
        let path = quote!(#private::serde).to_string().replace(' ', "");
        quote!(#[serde(crate = #path)])
    });
    quote!(#[derive(#(#paths),*)] #serde)
}

/// The last names of what is derived below `#[step]`.
fn derived_below(attrs: &[Attribute]) -> Vec<String> {
    let lists = attrs.iter().filter(|attr| attr.path().is_ident("derive"));
    let paths = lists.flat_map(|attr| {
        attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).unwrap_or_default()
    });
    paths.filter_map(|path| Some(path.segments.last()?.ident.to_string())).collect()
}

/// Whether there is a `#[serde(…)]` on the item itself that begins an option with this name.
fn says(attrs: &[Attribute], option: &str) -> bool {
    let mut found = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // What serde doesn't understand is serde's to tell.
        let _ = attr.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(option);
            if meta.input.peek(Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            }
            Ok(())
        });
    }
    found
}

/// `impl StepDefinition`, and the entry in the catalogue. `needed` are resources beside those in the options, and
/// `constants` what else there is to say.
pub(super) fn definition(
    private: &TokenStream,
    ident: &Ident,
    options: &GoodOptions,
    needed: &[&Type],
    constants: &TokenStream,
) -> TokenStream {
    let name = options.name.clone().unwrap_or_else(|| ident.unraw().to_string());
    let said = said(private, options);
    let resources = resources(private, needed.iter().copied().chain(&options.resources));
    quote! {
        const _: () = {
            impl #private::StepDefinition for #ident {
                const NAME: &'static ::core::primitive::str = #name;
                #said
                #constants
                #resources
            }
            #private::register_step!(#ident);
        };
    }
}

/// `const OPTIONS`, if anything was said.
fn said(private: &TokenStream, options: &GoodOptions) -> Option<TokenStream> {
    let backoff = options.backoff.map(|(first, longest)| {
        let (first, longest) = (duration(first), duration(longest));
        quote!((#first, #longest))
    });
    // Named with its type, so that a function of another type is told as such.
    let only_if = options.only_if.as_ref().map(
        |path| quote!({ let only_if: fn(&#private::StepError) -> ::core::primitive::bool = #path; only_if }),
    );
    let retry: Vec<TokenStream> =
        [field("max_attempts", options.max_attempts), field("backoff", backoff), field("only_if", only_if)]
            .into_iter()
            .flatten()
            .collect();
    let retry = (!retry.is_empty())
        .then(|| quote!(retry: #private::RetryOptions { #(#retry,)* ..#private::RetryOptions::NONE }));
    let batch: Vec<TokenStream> = options
        .batch
        .iter()
        .flat_map(|batch| {
            [field("max", batch.max), field("gather", batch.gather.map(duration))].into_iter().flatten()
        })
        .collect();
    let batch = (!batch.is_empty())
        .then(|| quote!(batch: #private::BatchOptions { #(#batch,)* ..#private::BatchOptions::NONE }));
    let rate = options.rate.as_ref().map(|rate| {
        let (count, period, burst) = (rate.count, duration(rate.period), rate.burst);
        quote!(#private::Rate::new(#count, #period).burst(#burst))
    });
    let fields: Vec<TokenStream> = [
        retry,
        batch,
        field("rate", rate),
        field("timeout", options.timeout.map(duration)),
        field("deadline", options.deadline.map(duration)),
        field("poll", options.poll.map(duration)),
        options.at_most_once.then(|| quote!(at_most_once: true)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!fields.is_empty()).then(|| {
        quote! {
            #[allow(clippy::needless_update)]
            const OPTIONS: #private::StepOptions =
                #private::StepOptions { #(#fields,)* ..#private::StepOptions::NONE };
        }
    })
}

fn field(name: &str, value: Option<impl ToTokens>) -> Option<TokenStream> {
    let name = Ident::new(name, Span::call_site());
    value.map(|value| quote!(#name: ::core::option::Option::Some(#value)))
}

fn duration(value: Duration) -> TokenStream {
    // What was written is at most `u64::MAX` milliseconds for each unit; beyond that it is as good as for ever.
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    quote!(::core::time::Duration::from_millis(#millis))
}

/// `const RESOURCES`, if any are needed.
fn resources<'a>(private: &TokenStream, types: impl Iterator<Item = &'a Type>) -> Option<TokenStream> {
    let types: Vec<&Type> = types.collect();
    (!types.is_empty()).then(|| {
        quote! {
            const RESOURCES: &'static [fn() -> #private::ResourceType] =
                &[#(#private::ResourceType::of::<#types>),*];
        }
    })
}
