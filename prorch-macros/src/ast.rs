//! What stands in the attributes and below them, as it was written.

use proc_macro2::Span;
use syn::{Attribute, DeriveInput, Ident, LitInt, LitStr, Path, Signature, Type, Visibility};

use crate::schedule::Schedule;

/// The options of `#[step(…)]`.
#[derive(Default)]
pub(crate) struct StepOptions {
    pub(crate) krate: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) deadline: Option<LitStr>,
    pub(crate) poll: Option<LitStr>,
    pub(crate) batch: Option<Batch>,
    pub(crate) rate: Option<RateOption>,
    pub(crate) resources: Vec<Type>,
    pub(crate) derive: Option<Vec<Ident>>,
    pub(crate) compensate: Option<Path>,
    pub(crate) at_most_once: bool,
    pub(crate) on_uncertain: Option<Path>,
}

/// The options of `retry(…)`.
#[derive(Default)]
pub(crate) struct Retry {
    pub(crate) max_attempts: Option<LitInt>,
    pub(crate) backoff: Option<LitStr>,
    pub(crate) only_if: Option<Path>,
}

/// The options of `batch(…)`.
pub(crate) struct Batch {
    /// Where it stands.
    pub(crate) span: Span,
    pub(crate) max: Option<LitInt>,
    pub(crate) gather: Option<LitStr>,
}

/// `rate = "10/s"` or `rate("10/s", burst = 5)`.
pub(crate) struct RateOption {
    pub(crate) rate: LitStr,
    pub(crate) burst: Option<LitInt>,
}

/// `= 3` or `(3, per = "tenant")`, behind `max_running` or `max_calls`.
pub(crate) struct CapOption {
    /// Which of the two.
    pub(crate) name: &'static str,
    pub(crate) most: LitInt,
    pub(crate) per: Option<LitStr>,
}

/// The options of `#[pipeline(…)]`.
#[derive(Default)]
pub(crate) struct PipelineOptions {
    pub(crate) krate: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) steps: Option<Steps>,
    pub(crate) input: Option<Type>,
    pub(crate) output: Option<Type>,
    pub(crate) version: Option<LitInt>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) on_failure: Option<Compensate>,
    pub(crate) on_cancel: Option<Compensate>,
    pub(crate) schedule: Schedule,
    pub(crate) max_running: Option<CapOption>,
    pub(crate) max_calls: Option<CapOption>,
}

/// `compensate`, behind `on_failure` or `on_cancel`.
pub(crate) struct Compensate;

/// `"Before" = Now`, in `aliases(…)`.
pub(crate) struct Alias {
    pub(crate) before: LitStr,
    pub(crate) now: Path,
}

/// `steps = […]`.
pub(crate) struct Steps {
    pub(crate) span: Span,
    pub(crate) stages: Vec<Stage>,
}

/// One element of `steps = […]`.
pub(crate) enum Stage {
    /// One member.
    One(Member),
    /// `[member, member]`.
    Group(Span, Vec<Member>),
    /// `each(member)` or `each(member, concurrency = …)`.
    Each(Member, Option<LitInt>),
}

/// A member of a stage.
#[derive(Clone)]
pub(crate) enum Member {
    /// The path of a step.
    Step(Path),
    /// `run(Pipeline)` or `run(Pipeline, undo = …)`.
    Run(Path, Option<Undo>),
}

/// `undo = …`, in `run(…)`.
#[derive(Clone)]
pub(crate) enum Undo {
    /// `undo = nothing`: there is nothing to undo.
    Nothing(Span),
    /// The path of a step.
    By(Path),
}

impl Member {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Step(path) | Self::Run(path, _) => path,
        }
    }
}

/// What `#[step]` stands above.
pub(crate) enum StepItem {
    Type(Box<DeriveInput>),
    Function(Box<Function>),
}

/// A function, without its body: that is none of our business.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
}

/// An attribute's options as far as they could be read, and what was wrong with the rest.
pub(crate) struct Read<T> {
    pub(crate) options: T,
    pub(crate) error: Option<syn::Error>,
}
