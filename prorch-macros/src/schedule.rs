//! The options of `#[pipeline]` by which its runs are scheduled: how they are written, and what makes sense.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, LitInt, LitStr, Result, parenthesized};

use crate::options::{self, Known};

/// The most missed ticks that fire together.
const MOST: u32 = 100;

/// `schedule = "…"` and what belongs to it.
#[derive(Default)]
pub(crate) struct Schedule {
    cron: Option<LitStr>,
    timezone: Option<LitStr>,
    missed: Option<Missed>,
    overlap: Option<Overlap>,
    input: Option<Expr>,
    /// What was given first of these.
    first: Option<(&'static str, Span)>,
}

/// `missed = …`.
enum Missed {
    Skip,
    Latest,
    All(LitInt),
}

/// `overlap = …`.
#[derive(Clone, Copy)]
enum Overlap {
    Allow,
    Skip(Span),
}

/// A schedule that makes sense, as far as it is seen here.
pub(crate) struct GoodSchedule {
    cron: LitStr,
    timezone: Option<LitStr>,
    missed: Missed,
    overlap: Overlap,
    input: Option<Expr>,
}

impl Schedule {
    /// Reads an option, if it is one of these.
    pub(crate) fn read(&mut self, option: &'static str, known: &Known, input: ParseStream<'_>) -> Result<()> {
        self.first.get_or_insert((option, input.span()));
        match option {
            "schedule" => self.cron = Some(options::value(known, input)?),
            "timezone" => self.timezone = Some(options::value(known, input)?),
            "missed" => self.missed = Some(options::value(known, input)?),
            "overlap" => self.overlap = Some(options::value(known, input)?),
            _ => self.input = Some(options::value(known, input)?),
        }
        Ok(())
    }

    /// The schedule, if there is one.
    pub(crate) fn check(self) -> Result<Option<GoodSchedule>> {
        let Some((option, span)) = self.first else { return Ok(None) };
        let Some(cron) = self.cron else {
            let text = format!(
                "`{option}` is about a schedule, and there is none: write `schedule = \"0 3 * * *\"` too"
            );
            return Err(Error::new(span, text));
        };
        if !cfg!(feature = "cron") {
            let text = "schedules need the feature `cron` of prorch: write `prorch = { version = \"…\", features = [\"cron\"] }` \
                        in Cargo.toml";
            return Err(Error::new(cron.span(), text));
        }
        shape(&cron)?;
        let missed = self.missed.unwrap_or(Missed::Latest);
        let overlap = self.overlap.unwrap_or(Overlap::Allow);
        match (&missed, overlap) {
            (Missed::All(limit), _) if !is_limit(limit) => {
                let text =
                    format!("of missed ticks 1 to {MOST} fire: write `missed = all(10)`, or `missed = skip`");
                Err(Error::new(limit.span(), text))
            }
            (Missed::All(_), Overlap::Skip(span)) => {
                let text = "with `missed = all(…)` several runs go on side by side: write `missed = latest`, or leave `overlap` out";
                Err(Error::new(span, text))
            }
            _ => Ok(Some(GoodSchedule { cron, timezone: self.timezone, missed, overlap, input: self.input })),
        }
    }
}

fn is_limit(limit: &LitInt) -> bool {
    limit.base10_parse().is_ok_and(|limit: u32| (1..=MOST).contains(&limit))
}

/// Whether it looks like a cron expression. Each field is read when the orchestrator is built.
fn shape(cron: &LitStr) -> Result<()> {
    let text = cron.value();
    let count = text.split_whitespace().count();
    let is_of_field =
        |letter: char| letter.is_ascii_alphanumeric() || "*,-/".contains(letter) || letter.is_whitespace();
    let wrong = if let Some(letter) = text.chars().find(|letter| !is_of_field(*letter)) {
        format!("has a `{letter}` in it")
    } else if !matches!(count, 5 | 6) {
        format!("has {count} fields")
    } else {
        return Ok(());
    };
    let text = format!(
        "this cron expression {wrong}: it has five fields of numbers, names, `*`, `,`, `-` and `/` (minute, hour, day of the \
         month, month, day of the week), as in `0 3 * * mon-fri`; a sixth, the second, may stand before them"
    );
    Err(Error::new(cron.span(), text))
}

impl Parse for Missed {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let word: Ident = input.parse()?;
        match word.to_string().as_str() {
            "skip" => Ok(Self::Skip),
            "latest" => Ok(Self::Latest),
            "all" => {
                let content;
                parenthesized!(content in input);
                Ok(Self::All(content.parse()?))
            }
            _ => Err(Error::new(word.span(), "not known")),
        }
    }
}

impl Parse for Overlap {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let word: Ident = input.parse()?;
        match word.to_string().as_str() {
            "allow" => Ok(Self::Allow),
            "skip" => Ok(Self::Skip(word.span())),
            _ => Err(Error::new(word.span(), "not known")),
        }
    }
}

impl GoodSchedule {
    /// The call that declares it.
    pub(crate) fn call(&self, private: &TokenStream, pipeline: &Ident) -> TokenStream {
        let cron = &self.cron;
        let timezone = self.timezone.as_ref().map_or_else(|| "UTC".to_owned(), LitStr::value);
        let missed = match &self.missed {
            Missed::Skip => quote!(Skip),
            Missed::Latest => quote!(Latest),
            Missed::All(limit) => quote!(All(#limit)),
        };
        let overlap = match self.overlap {
            Overlap::Allow => quote!(Allow),
            Overlap::Skip(_) => quote!(Skip),
        };
        let input = quote!(<#pipeline as #private::Pipeline>::Input);
        let value = match &self.input {
            Some(value) => quote!(#value),
            None => quote_spanned!(cron.span()=> #private::default_input::<#input>()),
        };
        quote! {
            .scheduled(#private::Declared {
                cron: #cron,
                timezone: #timezone,
                missed: #private::Missed::#missed,
                overlap: #private::Overlap::#overlap,
                input: || {
                    let input: #input = #value;
                    #private::scheduled_input(&input)
                },
            })
        }
    }
}
