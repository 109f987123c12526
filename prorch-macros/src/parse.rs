//! From tokens to [`ast`](crate::ast).

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, DeriveInput, Path, Result, Signature, Token, Visibility, token};

use crate::ast::{Function, PipelineOptions, Read, Stage, StepItem, StepOptions, Steps};
use crate::options::{self, Known};

const STEP_OPTIONS: &[Known] = &[
    Known { name: "name", form: "name = \"transfer\"" },
    Known { name: "retry", form: "retry(max_attempts = 5, backoff = \"1s..1m\")" },
    Known { name: "timeout", form: "timeout = \"30s\"" },
    Known { name: "deadline", form: "deadline = \"1h\"" },
    Known { name: "poll", form: "poll = \"2s\"" },
    Known { name: "resources", form: "resources(Client, Pool)" },
    Known { name: "derive", form: "derive(Default, Serialize, Deserialize)" },
    Known { name: "crate", form: "crate = ::prorch" },
];

const RETRY_OPTIONS: &[Known] = &[
    Known { name: "max_attempts", form: "max_attempts = 5" },
    Known { name: "backoff", form: "backoff = \"1s..1m\"" },
    Known { name: "if", form: "if = is_worth_it" },
];

const PIPELINE_OPTIONS: &[Known] = &[
    Known { name: "steps", form: "steps = [FirstStep, SecondStep]" },
    Known { name: "input", form: "input = Request" },
    Known { name: "output", form: "output = Report" },
    Known { name: "name", form: "name = \"backup\"" },
    Known { name: "crate", form: "crate = ::prorch" },
];

/// What stands in the parentheses of `#[step(…)]`.
pub(crate) fn step_options(tokens: TokenStream) -> Read<StepOptions> {
    let mut read = StepOptions::default();
    let parser = |input: ParseStream<'_>| {
        options::read_all(input, STEP_OPTIONS, |option, input| step_option(&mut read, option, input))
    };
    let error = parser.parse2(tokens).err();
    Read { options: read, error }
}

fn step_option(read: &mut StepOptions, option: &Known, input: ParseStream<'_>) -> Result<()> {
    match option.name {
        "name" => read.name = Some(options::value(option, input)?),
        "timeout" => read.timeout = Some(options::value(option, input)?),
        "deadline" => read.deadline = Some(options::value(option, input)?),
        "poll" => read.poll = Some(options::value(option, input)?),
        "resources" => read.resources = options::list(option, input)?,
        "derive" => read.derive = Some(options::list(option, input)?),
        "crate" => read.krate = Some(options::path(option, input)?),
        _ => {
            let retry = &mut read.retry;
            options::nested(option, input, RETRY_OPTIONS, |option, input| {
                match option.name {
                    "max_attempts" => retry.max_attempts = Some(options::value(option, input)?),
                    "backoff" => retry.backoff = Some(options::value(option, input)?),
                    _ => retry.only_if = Some(options::path(option, input)?),
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// What stands in the parentheses of `#[pipeline(…)]`.
pub(crate) fn pipeline_options(tokens: TokenStream) -> Read<PipelineOptions> {
    let mut read = PipelineOptions::default();
    let parser = |input: ParseStream<'_>| {
        options::read_all(input, PIPELINE_OPTIONS, |option, input| pipeline_option(&mut read, option, input))
    };
    let error = parser.parse2(tokens).err();
    Read { options: read, error }
}

fn pipeline_option(read: &mut PipelineOptions, option: &Known, input: ParseStream<'_>) -> Result<()> {
    match option.name {
        "name" => read.name = Some(options::value(option, input)?),
        "input" => read.input = Some(options::value(option, input)?),
        "output" => read.output = Some(options::value(option, input)?),
        "crate" => read.krate = Some(options::path(option, input)?),
        _ => {
            let (span, stages) = options::array(option, input, stage)?;
            read.steps = Some(Steps { span, stages });
        }
    }
    Ok(())
}

fn stage(input: ParseStream<'_>) -> Result<Stage> {
    let explain =
        |what: &str| format!("{what}: a stage is the path of a step, like `Transfer` or `steps::notify`");
    let begin = input.span();
    let path = input.parse::<Path>().map_err(|_| syn::Error::new(begin, explain("this is no path")))?;
    if input.peek(token::Paren) {
        return Err(syn::Error::new_spanned(path, explain("a step is named here, not called")));
    }
    Ok(Stage::Step(path))
}

/// What `#[step]` stands above.
pub(crate) fn step_item(tokens: TokenStream) -> Result<StepItem> {
    let parser = |input: ParseStream<'_>| {
        let ahead = input.fork();
        ahead.call(Attribute::parse_outer)?;
        ahead.parse::<Visibility>()?;
        if ahead.peek(Token![struct]) || ahead.peek(Token![enum]) || ahead.peek(Token![union]) {
            return input.parse().map(|item| StepItem::Type(Box::new(item)));
        }
        if ahead.peek(Token![impl]) {
            let text = "`#[step]` stands above the struct, the enum or the function, not above the `impl`";
            return Err(ahead.error(text));
        }
        ahead.parse::<Signature>().map_err(|error| {
            syn::Error::new(error.span(), "`#[step]` stands above a struct, an enum or a function")
        })?;
        function(input).map(|function| StepItem::Function(Box::new(function)))
    };
    parser.parse2(tokens)
}

fn function(input: ParseStream<'_>) -> Result<Function> {
    let function =
        Function { attrs: input.call(Attribute::parse_outer)?, vis: input.parse()?, sig: input.parse()? };
    input.parse::<TokenStream>()?;
    Ok(function)
}

/// What `#[pipeline]` stands above.
pub(crate) fn pipeline_item(tokens: TokenStream) -> Result<DeriveInput> {
    syn::parse2(tokens).map_err(|error| {
        syn::Error::new(error.span(), "`#[pipeline]` stands above a struct without fields: `struct Backup;`")
    })
}
