//! The attributes `#[step]` and `#[pipeline]` of prorch.

mod ast;
mod duration;
mod types;
mod options;
mod parse;
mod schedule;
mod valid;
mod expand;

use proc_macro2::TokenStream;
use quote::quote;

use crate::ast::{Read, StepItem};
use crate::valid::Errors;

/// Declares a step: a struct or an enum with state, or a function.
///
/// It is the first attribute of its item, so that it sees what is derived below it.
///
/// # On a struct or an enum
///
/// The fields are the state that is kept between calls. The attribute gives the step its name and options, and derives
/// `Default` (how the state begins), `Serialize` and `Deserialize` (how it is stored), each unless it is derived below.
/// No dependency on serde is needed for that. Named fields get `#[serde(default)]`, so that a run that waits while a new
/// version adds a field goes on. What the step does is said by `impl Step`.
///
/// ```
/// use prorch::prelude::*;
///
/// /// Asks three times.
/// #[step(retry(max_attempts = 3, backoff = "1s..1m"), timeout = "30s", poll = "2s")]
/// struct Ask {
///     asked: u32,
/// }
///
/// impl Step for Ask {
///     type Input = String;
///     type Output = u32;
///
///     async fn on_continue(&mut self, question: &String, _: &StepContext) -> StepResult<u32> {
///         self.asked += 1;
///         if self.asked < 3 || question.is_empty() { pending() } else { finish(self.asked) }
///     }
/// }
///
/// #[pipeline(steps = [Ask])]
/// struct Questions;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), prorch::Error> {
/// let run = prorch::testing::run::<Questions>("why?".to_owned()).execute().await?;
/// assert_eq!(run.output?, 3);
/// # Ok(())
/// # }
/// ```
///
/// An `impl Default`, `impl Serialize` or `impl Deserialize` that is written by hand can't be seen: name the derives
/// that are still wanted, or none, by `derive(…)`.
///
/// ```
/// # use prorch::prelude::*;
/// #[step(derive(Serialize, Deserialize))]
/// struct Countdown {
///     left: u32,
/// }
///
/// impl Default for Countdown {
///     fn default() -> Self {
///         Self { left: 10 }
///     }
/// }
/// ```
///
/// # On a function
///
/// A step without state can be a function: an `async fn`, or a plain `fn` that may block, as it runs on the blocking
/// pool. It stays callable. Its parameters:
///
/// * `&StepContext`, anywhere, recognised by that name; or none.
/// * The first parameter that is not the context is the **input**: by value (a clone of it), or by reference.
/// * Those after the input are **resources**, by reference: what the program gave to the orchestrator by
///   `.resource(value)`. A run is not begun before they are all there.
/// * A function without an input takes whatever the step before it hands on. One that has resources and no input begins
///   with `_: Anything`.
///
/// It returns `StepResult<T>`, or a `Result<T, E>` whose
/// `Ok` finishes the step, or an alias of one of them whose name ends in `Result`. A function that answers `pending()`
/// is called again.
///
/// ```
/// use prorch::prelude::*;
///
/// #[step]
/// async fn greet(name: String, greeting: &&'static str) -> StepResult<String> {
///     finish(format!("{greeting}, {name}!"))
/// }
///
/// #[step(timeout = "10s")]
/// fn measure(text: &String, cx: &StepContext) -> Result<usize, std::io::Error> {
///     cx.progress(1, 1);
///     Ok(text.len())
/// }
///
/// #[step]
/// async fn done(_: Anything, greeting: &&'static str) -> StepResult<bool> {
///     finish(greeting.is_empty())
/// }
///
/// #[pipeline(steps = [greet, measure, done])]
/// struct Greeting;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), prorch::Error> {
/// let run = prorch::testing::run::<Greeting>("you".to_owned()).resource("Hello").execute().await?;
/// assert_eq!(run.output?, false);
/// assert_eq!(measure(&"text".to_owned(), &StepContext::for_test()).ok(), Some(4));
/// # Ok(())
/// # }
/// ```
///
/// The step is a type of the function's name. So `use steps::notify;` beside a `mod notify` names two types (E0255):
/// write `steps::notify` where it is used.
///
/// # Options
///
/// | option | says | without it |
/// |---|---|---|
/// | `name = "transfer"` | the name that the step's records are stored under: at most 240 bytes, without `#` | the item's name |
/// | `retry(max_attempts = 5, …)` | errors in a row until the step fails; 1 means no retry | the orchestrator's |
/// | `retry(backoff = "1s..1m", …)` | the first and the longest delay between attempts | the orchestrator's |
/// | `retry(if = path, …)` | a `fn(&StepError) -> bool`: whether an error is worth a retry | every error that is not fatal |
/// | `timeout = "30s"` | the longest that one call may take | the orchestrator's |
/// | `deadline = "1h"` | the longest that the step may take, over all calls, waits and restarts | the orchestrator's |
/// | `poll = "2s"` | how long after `pending()` the step is asked again | the orchestrator's |
/// | `batch(max = 500, …)` | the most records that one call of `on_continue_many` is made for | 1,000 |
/// | `rate = "10/s"`, or `rate("10/s", burst = 5)` | how often the step is started (`/s`, `/m`, `/h`, `/d`), by all processes together and in all pipelines; `burst` is how many at once after a pause, else one | as often as runs come to it |
/// | `batch(gather = "200ms", …)` | such a step is asked again when a whole multiple of this has passed, so that many are asked at once | a tenth of `poll`, a second at most |
/// | `at_most_once` | its first call is not made a second time when it is not known what became of it: see [below](#at-most-once) | it is made again |
/// | `on_uncertain = path` | of a function that is `at_most_once`: who is asked then, an `async fn(&Input, &StepContext) -> StepResult<Output>` | the run fails in doubt |
/// | `compensate = path` | of a function: how it is undone, an `async fn(&Input, Option<&Output>, &StepContext) -> StepResult<()>` | nothing is undone |
/// | `resources(T, U)` | resources that it needs, beside those that a function takes | none |
/// | `derive(Default, …)` | which of the three derives are added | all that are not below |
/// | `crate = ::durable` | the path of prorch, where it has another name | `::prorch` |
///
/// Durations are numbers with units, the larger before the smaller: `500ms`, `30s`, `5m`, `2h`, `1d`, `1m30s`.
///
#[doc = include_str!("polls.md")]
///
#[doc = include_str!("at_most_once.md")]
#[proc_macro_attribute]
pub fn step(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    step_tokens(options.into(), item.into()).into()
}

/// Declares a pipeline: a list of steps under a name, on a struct without fields.
///
/// What a step hands on goes into the next one: both types are the same, or there is an `Into`; else the pipeline does
/// not compile. A step may stand in the list more than once.
///
/// ```
/// use prorch::prelude::*;
///
/// #[step]
/// async fn measure(text: String) -> StepResult<u32> {
///     finish(u32::try_from(text.len())?)
/// }
///
/// #[step]
/// async fn double(number: u64) -> StepResult<u64> {
///     finish(number * 2)
/// }
///
/// #[pipeline(steps = [measure, double, double])]
/// struct Lengths;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), prorch::Error> {
/// let run = prorch::testing::run::<Lengths>("four".to_owned()).execute().await?;
/// assert_eq!(run.output?, 16);
/// # Ok(())
/// # }
/// ```
///
/// # Stages
///
/// | in the list | is | takes | hands on |
/// |---|---|---|---|
/// | `Transfer` | a step | what was handed on before it | its output |
/// | `[First, Second]` | two to eight side by side; none of them another group or a list | each the same: clones are made of what is stored | a tuple of their outputs |
/// | `each(Step)`, `each(Step, concurrency = 8)` | the step for each item of a list, 16 at a time unless it says otherwise (1 to 1,000) | an item of the `Vec` before it | a `Vec` of the outputs, in the order of the items |
/// | `run(Other)` | a run of another pipeline; also in a group, or for each item | what that pipeline is started with | what it ends with |
///
/// A run goes on when all members of its stage have finished. When one fails, the run fails for it; a retry leaves alone what
/// has finished, and starts another run where one has failed.
///
/// ```
/// use prorch::prelude::*;
///
/// #[step]
/// async fn words(text: String) -> StepResult<Vec<String>> {
///     finish(text.split(' ').map(str::to_owned).collect())
/// }
///
/// #[step]
/// async fn length(word: String) -> StepResult<usize> {
///     finish(word.len())
/// }
///
/// #[step]
/// async fn longest(lengths: Vec<usize>) -> StepResult<usize> {
///     finish(lengths.into_iter().max().unwrap_or_default())
/// }
///
/// #[step]
/// async fn sum(lengths: Vec<usize>) -> StepResult<usize> {
///     finish(lengths.into_iter().sum())
/// }
///
/// /// A run of its own for each word.
/// #[pipeline(steps = [length])]
/// struct Word;
///
/// #[pipeline(steps = [words, each(run(Word)), [longest, sum]])]
/// struct Text;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), prorch::Error> {
/// let run = prorch::testing::run::<Text>("one two three".to_owned()).execute().await?;
/// assert_eq!(run.output?, (5, 11));
/// # Ok(())
/// # }
/// ```
///
/// # Options
///
/// | option | says | without it |
/// |---|---|---|
/// | `steps = [First, steps::second]` | its stages, at least one | an error |
/// | `input = T` | what a run is started with: what the first step takes, or what turns into it | what the first step takes |
/// | `output = U` | what a run ends with: what the last step hands on, or what that turns into | what the last step hands on |
/// | `name = "backup"` | the name that its runs are stored under: at most 256 bytes | the struct's name |
/// | `on_failure = compensate` | when a run fails, what its steps have done is undone before it ends | it ends at once |
/// | `on_cancel = compensate` | the same when a run is cancelled | it ends at once |
/// | `max_running = 3`, or `max_running(3, per = "tenant")` | how many of its runs have begun and not ended, waits included, over all processes: in all, or for each value pinned to them by `.metadata("tenant", …)` | any number |
/// | `max_calls = 8`, or `max_calls(8, per = "tenant")` | how many of its runs are worked on at a time, over all processes; one that waits is not | any number |
/// | `schedule = "0 3 * * *", timezone = "Europe/Madrid"` | a run is started at each tick of this cron expression in this time zone (feature `cron`) | none; UTC |
/// | `missed = skip`, `missed = all(10)` | what becomes of ticks that no worker came to within a minute | `latest`: the latest fires |
/// | `overlap = skip` | a tick does not fire while the run of the one before goes on | `allow` |
/// | `schedule_input = expression` | what a scheduled run is started with | the type's `Default` |
/// | `aliases("Old" = New)` | names that steps of the list had before, for runs that were started then | none |
/// | `version = 2` | which version of the pipeline it is: runs of another one are not gone on with by this one | 1 |
/// | `crate = ::durable` | the path of prorch, where it has another name | `::prorch` |
///
/// A pipeline that is more visible than its steps says what goes in and what comes out; without that its interface would
/// name private types (E0446).
///
/// ```
/// use prorch::prelude::*;
///
/// #[step]
/// struct Transfer;
///
/// impl Step for Transfer {
///     type Input = u64;
///     type Output = u64;
///
///     async fn on_start(&mut self, bytes: &u64, _: &StepContext) -> StepResult<u64> {
///         finish(*bytes)
///     }
/// }
///
/// /// What other crates start.
/// #[pipeline(input = u64, output = u64, steps = [Transfer])]
/// pub struct Backup;
/// ```
///
#[doc = include_str!("limits.md")]
///
#[doc = include_str!("undoing.md")]
///
/// # When the list changes
///
/// A run remembers the list of steps that it was started with, and goes on by that list when a new program has another
/// one, with the code that the new one has under those names: a step that was put in is passed over, one that has
/// finished may be gone. What is not finished must be there, in the same form (`each(…)`, a group, a run), and must take
/// the type that was handed on; types are told by their names. Where that is not so the run is left as it is, and named
/// with what differs and what to do.
///
/// A step that was renamed is found by `aliases`. It goes on under the name that the run knows it by, so that its
/// idempotency key stays.
///
/// ```
/// use prorch::prelude::*;
///
/// mod before {
///     use prorch::prelude::*;
///
///     #[step]
///     pub async fn shrink(width: u32) -> StepResult<u32> {
///         finish(width / 2)
///     }
///
///     #[pipeline(name = "photos", steps = [shrink])]
///     pub struct Photos;
/// }
///
/// #[step]
/// async fn sharpen(width: u32) -> StepResult<u32> {
///     finish(width + 1)
/// }
///
/// #[step]
/// async fn resize(width: u32) -> StepResult<u32> {
///     finish(width / 2)
/// }
///
/// #[pipeline(name = "photos", steps = [sharpen, resize], aliases("shrink" = resize))]
/// struct Photos;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), prorch::Error> {
/// let repository = prorch::repository::MemoryRepository::new();
/// let before = Orchestrator::builder(repository.clone()).pipeline::<before::Photos>().build()?;
/// let run = before.start::<before::Photos>(800).await?.id();
///
/// // The program is replaced. A run that nobody of the old one has taken for a moment goes on in the new one.
/// let config = OrchestratorConfig::default().lease(std::time::Duration::from_millis(500));
/// let after = Orchestrator::builder(repository).config(config).pipeline::<Photos>().build()?;
/// let run = after.handle::<Photos>(run).await?;
/// after.run_until(run.wait()).await?;
/// assert_eq!(run.wait().await?, 400, "it was not sharpened: its list does not have that");
/// # Ok(())
/// # }
/// ```
///
/// What no name and no type tells (that a step means another thing now, say) is for a `version`: runs of version 1 are
/// left to the old program, or to the old list, which may be declared beside the new one under the same name:
/// `#[pipeline(name = "photos", version = 1, …)] struct OldPhotos;`. A pipeline that is renamed itself keeps its runs by
/// `name = "the old name"`.
///
/// The run keeps what the last step handed on; an `output` that it turns into is made of it when it is asked for.
///
/// Every pipeline that is linked into a program is found by its orchestrator. A crate that the program never names is
/// dropped by the linker without a word, and its pipelines with it: write `use my_jobs as _;`.
#[proc_macro_attribute]
pub fn pipeline(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    pipeline_tokens(options.into(), item.into()).into()
}

/// The item as it was written, with what makes a step of it; or with the errors. A mistake in the options leaves the
/// step a step, so that it is the only one that is told.
fn step_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Read { options, error } = parse::step_options(options);
    errors.extend(error);
    let private = expand::private(options.krate.as_ref());
    let options = valid::step_options(options, &mut errors);
    let (attributes, code) = match errors.take(parse::step_item(item.clone())) {
        Some(StepItem::Type(parsed)) => {
            errors.extend(valid::no_function(&options).err());
            let good = errors.take(valid::step_type(&parsed));
            good.map(|()| expand::type_step(&private, &parsed, &options)).unwrap_or_default()
        }
        Some(StepItem::Function(function)) => {
            let good = errors.take(valid::step_function(&function, &options));
            let code = good.map(|good| expand::function_step(&private, &function, &options, &good));
            (TokenStream::new(), code.unwrap_or_default())
        }
        None => <_>::default(),
    };
    let errors = errors.into_tokens();
    quote!(#attributes #item #code #errors)
}

/// The struct as it was written, with what makes a pipeline of it; or with the error.
fn pipeline_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let read = parse::pipeline_options(options);
    let private = expand::private(read.options.krate.as_ref());
    let parsed = errors.take(parse::pipeline_item(item.clone()));
    let code = match (read.error, parsed) {
        (Some(error), _) => {
            errors.add(error);
            None
        }
        (None, Some(parsed)) => errors
            .take(valid::pipeline(read.options, &parsed))
            .map(|good| expand::pipeline(&private, &parsed, &good)),
        (None, None) => None,
    };
    let errors = errors.into_tokens();
    quote!(#item #code #errors)
}
