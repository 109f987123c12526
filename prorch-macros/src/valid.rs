//! Every rule about what may be written, and what is said where one is broken.

mod function;
mod limits;

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Generics, Ident, LitInt, LitStr, Path, Result, Type};

use crate::ast::{Alias, Batch, Member, PipelineOptions, Retry, Stage, StepOptions, Undo};
use crate::duration;
use crate::schedule::GoodSchedule;

/// The longest name of a pipeline, in bytes: the stores keep no longer one.
const MAX_NAME: usize = 256;
/// The most members of a group.
const MAX_GROUP: usize = 8;
/// How many items of a list are worked on at a time: the most, and where nothing is said.
const MAX_EACH: u32 = 1_000;
const DEFAULT_EACH: u32 = 16;
/// The longest name of a step: the second one in a pipeline is stored as `name#2`, and has to fit as well.
const MAX_STEP_NAME: usize = 240;

/// The traits that `#[step]` derives.
pub(crate) const DERIVED: [&str; 3] = ["Default", "Serialize", "Deserialize"];

/// Good options of a step; where one was not good, the errors hold why, and it is left out here.
#[derive(Default)]
pub(crate) struct GoodOptions {
    pub(crate) name: Option<String>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Option<(Duration, Duration)>,
    pub(crate) only_if: Option<Path>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) poll: Option<Duration>,
    pub(crate) batch: Option<GoodBatch>,
    pub(crate) rate: Option<GoodRate>,
    pub(crate) resources: Vec<Type>,
    pub(crate) derive: Option<Vec<Ident>>,
    pub(crate) compensate: Option<Path>,
    pub(crate) at_most_once: bool,
    pub(crate) on_uncertain: Option<Path>,
}

/// Good options of a step that is asked together with others.
pub(crate) struct GoodBatch {
    pub(crate) span: Span,
    pub(crate) max: Option<u32>,
    pub(crate) gather: Option<Duration>,
}

pub(crate) use function::{Argument, GoodFunction, Output, step_function};
pub(crate) use limits::{GoodCap, GoodRate};

/// A pipeline, understood.
pub(crate) struct GoodPipeline {
    pub(crate) name: String,
    pub(crate) stages: Vec<GoodStage>,
    pub(crate) input: Option<Type>,
    pub(crate) output: Option<Type>,
    pub(crate) version: Option<u32>,
    /// What steps were called before, and where they stand now.
    pub(crate) aliases: Vec<(String, Member)>,
    /// Whether its runs are undone: after a failure, after a cancel.
    pub(crate) undone: (bool, bool),
    pub(crate) schedule: Option<GoodSchedule>,
    pub(crate) max_running: Option<GoodCap>,
    pub(crate) max_calls: Option<GoodCap>,
}

/// A stage, understood. It has a member.
pub(crate) enum GoodStage {
    One(Member),
    Group(Vec<Member>),
    Each(Member, u32),
}

impl GoodStage {
    pub(crate) fn members(&self) -> &[Member] {
        match self {
            Self::One(member) | Self::Each(member, _) => std::slice::from_ref(member),
            Self::Group(members) => members,
        }
    }
}

/// Errors of one item, gathered so that all are told at once.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn extend(&mut self, error: Option<Error>) {
        error.into_iter().for_each(|error| self.add(error));
    }

    /// The value; or none, with the error kept.
    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// The errors as tokens: nothing when there are none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }
}

/// The options of a step.
pub(crate) fn step_options(written: StepOptions, errors: &mut Errors) -> GoodOptions {
    let Retry { max_attempts, backoff, only_if } = written.retry;
    let mut time = |text: Option<LitStr>| text.and_then(|text| errors.take(positive(&text)));
    let (timeout, deadline, poll) = (time(written.timeout), time(written.deadline), time(written.poll));
    GoodOptions {
        name: written.name.and_then(|name| errors.take(step_name(&name))),
        max_attempts: max_attempts.and_then(|number| errors.take(attempts(&number))),
        backoff: backoff.and_then(|text| errors.take(range(&text))),
        only_if,
        timeout,
        deadline,
        poll,
        batch: written.batch.and_then(|written| errors.take(batch(written))),
        rate: written.rate.and_then(|written| errors.take(limits::rate(&written))),
        resources: written.resources,
        compensate: written.compensate,
        at_most_once: written.at_most_once,
        on_uncertain: written.on_uncertain,
        derive: written.derive.and_then(|names| errors.take(derivable(names))),
    }
}

fn batch(written: Batch) -> Result<GoodBatch> {
    let Batch { span, max, gather } = written;
    Ok(GoodBatch {
        span,
        max: max.as_ref().map(batch_size).transpose()?,
        gather: gather.map(|text| any_duration(&text, &text.value())).transpose()?,
    })
}

fn batch_size(number: &LitInt) -> Result<u32> {
    let text = "`max` is how many records one call of `on_continue_many` settles at the most, and with fewer than 2 there is \
                nothing to gather: leave `on_continue_many` out, and write `on_continue`";
    number.base10_parse().ok().filter(|max| *max > 1).ok_or_else(|| Error::new(number.span(), text))
}

fn positive(text: &LitStr) -> Result<Duration> {
    let value = any_duration(text, &text.value())?;
    if value.is_zero() {
        return Err(Error::new(text.span(), "this is longer than zero: write `1s`, say"));
    }
    Ok(value)
}

fn any_duration(at: &LitStr, text: &str) -> Result<Duration> {
    let unknown = || Error::new(at.span(), format!("`{text}` is no duration: {}", duration::FORM));
    duration::parse(text).ok_or_else(unknown)
}

fn range(text: &LitStr) -> Result<(Duration, Duration)> {
    let value = text.value();
    let form = "a backoff is the first and the longest delay: `1s..1m`";
    let (first, longest) = value.split_once("..").ok_or_else(|| Error::new(text.span(), form))?;
    let (first, longest) = (any_duration(text, first)?, any_duration(text, longest)?);
    if first > longest {
        return Err(Error::new(text.span(), format!("the first delay is longer than the longest: {form}")));
    }
    Ok((first, longest))
}

fn attempts(number: &LitInt) -> Result<u32> {
    let count = number.base10_parse::<u32>()?;
    if count == 0 {
        return Err(Error::new(
            number.span(),
            "a step is called at least once: `max_attempts = 1` means no retry",
        ));
    }
    Ok(count)
}

fn derivable(names: Vec<Ident>) -> Result<Vec<Ident>> {
    let Some(other) = names.iter().find(|name| !DERIVED.iter().any(|derived| name == derived)) else {
        return Ok(names);
    };
    let text = format!(
        "`#[step]` derives `Default`, `Serialize` and `Deserialize`: write `#[derive({other})]` below it for others"
    );
    Err(Error::new(other.span(), text))
}

fn step_name(name: &LitStr) -> Result<String> {
    let value = storable(name, MAX_STEP_NAME)?;
    if value.contains('#') {
        return Err(Error::new(
            name.span(),
            "a step's name has no `#`: it marks a step that stands in a pipeline for the second time",
        ));
    }
    Ok(value)
}

fn storable(name: &LitStr, limit: usize) -> Result<String> {
    let value = name.value();
    let wrong = if value.is_empty() {
        "this name is empty: write one, or leave the option out to use the item's own".into()
    } else if value.len() > limit {
        format!("this name has {} bytes, and at most {limit} are stored", value.len())
    } else if value.contains('\0') {
        "a name has no NUL character: no store could keep it".into()
    } else {
        return Ok(value);
    };
    Err(Error::new(name.span(), wrong))
}

/// How a struct or an enum is undone stands in its `impl Step`.
pub(crate) fn no_function(options: &GoodOptions) -> Result<()> {
    let text = "this is for functions: how a struct or an enum is undone stands in its `impl Step`, as `async fn \
                compensate(&mut self, input: &Self::Input, output: Option<&Self::Output>, cx: &StepContext) -> \
                StepResult<()>`";
    options.compensate.as_ref().map_or(Ok(()), |path| Err(Error::new_spanned(path, text)))?;
    let text = "this is for functions: a struct or an enum is asked by its `impl Step`, as `async fn on_uncertain(&mut self, \
                input: &Self::Input, cx: &StepContext) -> StepResult<Self::Output>`";
    options.on_uncertain.as_ref().map_or(Ok(()), |path| Err(Error::new_spanned(path, text)))
}

/// Who is asked what became of a call is one whose call is not simply made again.
fn asked_for_a_reason(options: &GoodOptions) -> Result<()> {
    match &options.on_uncertain {
        Some(path) if !options.at_most_once => {
            let text = "this is asked only of a step whose first call is made at most once: write `at_most_once` beside it";
            Err(Error::new_spanned(path, text))
        }
        _ => Ok(()),
    }
}

/// A struct or an enum that is to be a step.
pub(crate) fn step_type(item: &DeriveInput) -> Result<()> {
    if let Data::Union(union) = &item.data {
        return Err(Error::new(
            union.union_token.span,
            "a step is a struct or an enum: a union can't be stored",
        ));
    }
    not_generic(
        &item.generics,
        "a step's state is stored under one name, so its type is not generic: write one type for each case",
    )
}

fn not_generic(generics: &Generics, text: &str) -> Result<()> {
    if generics.params.is_empty() { Ok(()) } else { Err(Error::new_spanned(generics, text)) }
}

/// A pipeline; `span` is that of the attribute.
pub(crate) fn pipeline(written: PipelineOptions, item: &DeriveInput) -> Result<GoodPipeline> {
    unit_struct(item)?;
    let name = written.name.map(|name| storable(&name, MAX_NAME)).transpose()?;
    let form = "a pipeline has at least one step: write `#[pipeline(steps = [FirstStep, SecondStep])]`";
    let steps = written.steps.ok_or_else(|| Error::new(Span::call_site(), form))?;
    if steps.stages.is_empty() {
        return Err(Error::new(steps.span, form));
    }
    let stages = steps.stages.into_iter().map(stage).collect::<Result<Vec<_>>>()?;
    let undone = (written.on_failure.is_some(), written.on_cancel.is_some());
    stages.iter().flat_map(GoodStage::members).try_for_each(|member| undo(member, undone))?;
    Ok(GoodPipeline {
        undone,
        schedule: written.schedule.check()?,
        name: name.unwrap_or_else(|| item.ident.unraw().to_string()),
        version: written.version.as_ref().map(version).transpose()?,
        aliases: aliases(written.aliases, &stages)?,
        max_running: written.max_running.as_ref().map(limits::cap).transpose()?,
        max_calls: written.max_calls.as_ref().map(limits::cap).transpose()?,
        stages,
        input: written.input,
        output: written.output,
    })
}

/// Whether it is said of a run of another pipeline how it is undone, if and only if it may have to be.
fn undo(member: &Member, undone: (bool, bool)) -> Result<()> {
    let Member::Run(path, undo) = member else { return Ok(()) };
    match (undo, undone) {
        (None, (true, _) | (_, true)) => {
            let name = path.to_token_stream().to_string().replace(' ', "");
            let text = format!(
                "what this pipeline has done is undone, and it is not said how that of `{name}` is: write `run({name}, undo = \
                 TakeBack)`, the path of a step that takes `(Input, Option<Output>)` of that pipeline, or `run({name}, \
                 undo = nothing)`"
            );
            Err(Error::new_spanned(path, text))
        }
        (Some(undo), (false, false)) => {
            let at = match undo {
                Undo::Nothing(span) => *span,
                Undo::By(path) => path.span(),
            };
            let text = "nothing that this pipeline has done is ever undone: write `on_failure = compensate` or `on_cancel = \
                        compensate` beside `steps`, or leave `undo` out";
            Err(Error::new(at, text))
        }
        _ => Ok(()),
    }
}

fn version(written: &LitInt) -> Result<u32> {
    let text = "a version is a number from 1 on: a pipeline that says nothing is version 1";
    written.base10_parse().ok().filter(|version| *version > 0).ok_or_else(|| Error::new(written.span(), text))
}

fn aliases(written: Vec<Alias>, stages: &[GoodStage]) -> Result<Vec<(String, Member)>> {
    let mut aliases: Vec<(String, Member)> = Vec::new();
    for Alias { before, now } in written {
        let name = step_name(&before)?;
        if aliases.iter().any(|(other, _)| *other == name) {
            let text = format!("`{name}` was the name of one step: keep one of the two");
            return Err(Error::new(before.span(), text));
        }
        let members = stages.iter().flat_map(GoodStage::members);
        let written_as = |path: &Path| path.to_token_stream().to_string();
        let is_it = |member: &&Member| written_as(member.path()) == written_as(&now);
        let member = members.into_iter().find(is_it).ok_or_else(|| {
            let text = "this is not in the list of steps: an alias says which of them had the name before, so write its \
                        path as it stands there";
            Error::new_spanned(&now, text)
        })?;
        aliases.push((name, member.clone()));
    }
    Ok(aliases)
}

fn stage(written: Stage) -> Result<GoodStage> {
    match written {
        Stage::One(member) => Ok(GoodStage::One(member)),
        Stage::Group(_, members) if (2..=MAX_GROUP).contains(&members.len()) => Ok(GoodStage::Group(members)),
        Stage::Group(span, members) => {
            let text = format!(
                "a group has 2 to {MAX_GROUP} members that run side by side, and this one has {}: write one step without \
                 brackets, or more than {MAX_GROUP} as pipelines of their own",
                members.len()
            );
            Err(Error::new(span, text))
        }
        Stage::Each(member, None) => Ok(GoodStage::Each(member, DEFAULT_EACH)),
        Stage::Each(member, Some(written)) => {
            let text = format!("`concurrency` is how many items are worked on at a time: 1 to {MAX_EACH}");
            let number = written.base10_parse::<u32>().ok().filter(|number| (1..=MAX_EACH).contains(number));
            let concurrency = number.ok_or_else(|| Error::new(written.span(), text))?;
            Ok(GoodStage::Each(member, concurrency))
        }
    }
}

fn unit_struct(item: &DeriveInput) -> Result<()> {
    let text = format!("a pipeline has no fields and no parameters: write `struct {};`", item.ident);
    not_generic(&item.generics, &text)?;
    match &item.data {
        Data::Struct(data) if matches!(data.fields, Fields::Unit) => Ok(()),
        Data::Struct(data) => Err(Error::new_spanned(&data.fields, text)),
        _ => Err(Error::new(item.ident.span(), text)),
    }
}
