//! From tokens to [`ast`](crate::ast).

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Ident, Path, Result, Signature, Token, Visibility, token};

use crate::ast::{
    Alias, Batch, CapOption, Compensate, Function, Member, PipelineOptions, RateOption, Read, Stage,
    StepItem, StepOptions, Steps, Undo,
};
use crate::options::{self, Known};

const STEP_OPTIONS: &[Known] = &[
    Known { name: "name", form: "name = \"transfer\"" },
    Known { name: "retry", form: "retry(max_attempts = 5, backoff = \"1s..1m\")" },
    Known { name: "timeout", form: "timeout = \"30s\"" },
    Known { name: "deadline", form: "deadline = \"1h\"" },
    Known { name: "poll", form: "poll = \"2s\"" },
    Known { name: "batch", form: "batch(max = 500, gather = \"200ms\")" },
    Known { name: "at_most_once", form: "at_most_once" },
    Known { name: "on_uncertain", form: "on_uncertain = look_up" },
    Known { name: "rate", form: "rate = \"10/s\"` or `rate(\"10/s\", burst = 5)" },
    Known { name: "resources", form: "resources(Client, Pool)" },
    Known { name: "compensate", form: "compensate = take_back" },
    Known { name: "derive", form: "derive(Default, Serialize, Deserialize)" },
    Known { name: "crate", form: "crate = ::prorch" },
];

const RETRY_OPTIONS: &[Known] = &[
    Known { name: "max_attempts", form: "max_attempts = 5" },
    Known { name: "backoff", form: "backoff = \"1s..1m\"" },
    Known { name: "if", form: "if = is_worth_it" },
];

const RUN_OPTIONS: &[Known] = &[Known { name: "undo", form: "undo = TakeBack" }];
const BATCH_OPTIONS: &[Known] =
    &[Known { name: "max", form: "max = 500" }, Known { name: "gather", form: "gather = \"200ms\"" }];

const RATE_OPTIONS: &[Known] = &[Known { name: "burst", form: "burst = 5" }];
const CAP_OPTIONS: &[Known] = &[Known { name: "per", form: "per = \"tenant\"" }];

const EACH_OPTIONS: &[Known] = &[Known { name: "concurrency", form: "concurrency = 8" }];
const PIPELINE_OPTIONS: &[Known] = &[
    Known { name: "steps", form: "steps = [FirstStep, SecondStep]" },
    Known { name: "input", form: "input = Request" },
    Known { name: "output", form: "output = Report" },
    Known { name: "name", form: "name = \"backup\"" },
    Known { name: "version", form: "version = 2" },
    Known { name: "on_failure", form: "on_failure = compensate" },
    Known { name: "on_cancel", form: "on_cancel = compensate" },
    Known { name: "max_running", form: "max_running = 3` or `max_running(3, per = \"tenant\")" },
    Known { name: "max_calls", form: "max_calls = 8` or `max_calls(8, per = \"tenant\")" },
    Known { name: "schedule", form: "schedule = \"0 3 * * *\"" },
    Known { name: "timezone", form: "timezone = \"Europe/Madrid\"" },
    Known { name: "missed", form: "missed = latest`, `missed = skip` or `missed = all(10)" },
    Known { name: "overlap", form: "overlap = skip" },
    Known { name: "schedule_input", form: "schedule_input = Request::nightly()" },
    Known { name: "aliases", form: "aliases(\"OldName\" = NewName)" },
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
        "batch" => read.batch = Some(batch(option, input)?),
        "at_most_once" => read.at_most_once = options::flag(option, input)?,
        "on_uncertain" => read.on_uncertain = Some(options::path(option, input)?),
        "rate" => read.rate = Some(rate(option, input)?),
        "resources" => read.resources = options::list(option, input)?,
        "compensate" => read.compensate = Some(options::path(option, input)?),
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

/// `= "…"` or `("…", burst = …)`.
fn rate(option: &Known, input: ParseStream<'_>) -> Result<RateOption> {
    let mut burst = None;
    let rate = options::value_with(option, input, RATE_OPTIONS, |option, input| {
        burst = Some(options::value(option, input)?);
        Ok(())
    })?;
    Ok(RateOption { rate, burst })
}

/// `= …` or `(…, per = "…")`.
fn cap(option: &Known, input: ParseStream<'_>) -> Result<CapOption> {
    let mut per = None;
    let most = options::value_with(option, input, CAP_OPTIONS, |option, input| {
        per = Some(options::value(option, input)?);
        Ok(())
    })?;
    Ok(CapOption { name: option.name, most, per })
}

/// `(max = …, gather = …)`.
fn batch(option: &Known, input: ParseStream<'_>) -> Result<Batch> {
    let mut read = Batch { span: input.span(), max: None, gather: None };
    options::nested(option, input, BATCH_OPTIONS, |option, input| {
        match option.name {
            "max" => read.max = Some(options::value(option, input)?),
            _ => read.gather = Some(options::value(option, input)?),
        }
        Ok(())
    })?;
    Ok(read)
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
        "version" => read.version = Some(options::value(option, input)?),
        "on_failure" => read.on_failure = Some(options::value(option, input)?),
        "on_cancel" => read.on_cancel = Some(options::value(option, input)?),
        "max_running" => read.max_running = Some(cap(option, input)?),
        "max_calls" => read.max_calls = Some(cap(option, input)?),
        "aliases" => read.aliases = options::list(option, input)?,
        "crate" => read.krate = Some(options::path(option, input)?),
        name @ ("schedule" | "timezone" | "missed" | "overlap" | "schedule_input") => {
            read.schedule.read(name, option, input)?;
        }
        _ => {
            let (span, stages) = options::array(option, input, stage)?;
            read.steps = Some(Steps { span, stages });
        }
    }
    Ok(())
}

impl Parse for Alias {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let before = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { before, now: input.call(Path::parse_mod_style)? })
    }
}

impl Parse for Compensate {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let word: Ident = input.parse()?;
        if word == "compensate" { Ok(Self) } else { Err(syn::Error::new(word.span(), "not known")) }
    }
}

fn stage(input: ParseStream<'_>) -> Result<Stage> {
    if input.peek(token::Bracket) {
        return group(input);
    }
    let begin = input.span();
    let path = stage_path(input)?;
    if !input.peek(token::Paren) {
        return Ok(Stage::One(Member::Step(path)));
    }
    match form(&path).as_deref() {
        Some("each") => each(input),
        Some("run") => Ok(Stage::One(run(input)?)),
        _ => Err(syn::Error::new(begin, explain("a step is named here, not called"))),
    }
}

/// `[member, member]`.
fn group(input: ParseStream<'_>) -> Result<Stage> {
    let content;
    let brackets = syn::bracketed!(content in input);
    let members = content.parse_terminated(member, Token![,])?;
    Ok(Stage::Group(brackets.span.join(), members.into_iter().collect()))
}

/// `(member)` or `(member, concurrency = 8)`, behind `each`.
fn each(input: ParseStream<'_>) -> Result<Stage> {
    let content;
    syn::parenthesized!(content in input);
    let member = member(&content)?;
    let mut concurrency = None;
    if content.parse::<Option<Token![,]>>()?.is_some() {
        options::read_all(&content, EACH_OPTIONS, |option, input| {
            concurrency = Some(options::value(option, input)?);
            Ok(())
        })?;
    }
    Ok(Stage::Each(member, concurrency))
}

/// `(Pipeline)` or `(Pipeline, undo = Step)`, behind `run`.
fn run(input: ParseStream<'_>) -> Result<Member> {
    let content;
    syn::parenthesized!(content in input);
    let path = content.call(Path::parse_mod_style).map_err(|error| {
        syn::Error::new(error.span(), "`run` names a pipeline: write `run(OtherPipeline)`")
    })?;
    let mut undo = None;
    if !content.is_empty() {
        let one = "`run` names one pipeline: write `run(OtherPipeline)`";
        content.parse::<Token![,]>().map_err(|error| syn::Error::new(error.span(), one))?;
        options::read_all(&content, RUN_OPTIONS, |option, input| {
            let path = options::path(option, input)?;
            undo = Some(if path.is_ident("nothing") { Undo::Nothing(path.span()) } else { Undo::By(path) });
            Ok(())
        })?;
    }
    Ok(Member::Run(path, undo))
}

fn member(input: ParseStream<'_>) -> Result<Member> {
    let begin = input.span();
    if input.peek(token::Bracket) {
        let text = "a group stands by itself in the list, and not inside of another stage: make what is in it a \
                    pipeline of its own, and write `run(ThatPipeline)`";
        return Err(syn::Error::new(begin, text));
    }
    let path = stage_path(input)?;
    if !input.peek(token::Paren) {
        return Ok(Member::Step(path));
    }
    match form(&path).as_deref() {
        Some("run") => run(input),
        Some("each") => {
            let text = "`each(…)` stands by itself in the list, and not inside of another stage: make it a pipeline \
                        of its own, and write `run(ThatPipeline)`";
            Err(syn::Error::new(begin, text))
        }
        _ => Err(syn::Error::new(begin, explain("a step is named here, not called"))),
    }
}

fn stage_path(input: ParseStream<'_>) -> Result<Path> {
    let begin = input.span();
    input.parse::<Path>().map_err(|_| syn::Error::new(begin, explain("this is no path")))
}

fn explain(what: &str) -> String {
    format!(
        "{what}: a stage is the path of a step, like `Transfer` or `steps::notify`; a group, `[First, Second]`; \
         `each(Step)`; or `run(OtherPipeline)`"
    )
}

/// The word before the parentheses, if it is only one.
fn form(path: &Path) -> Option<String> {
    path.get_ident().map(ToString::to_string)
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
