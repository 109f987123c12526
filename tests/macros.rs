//! What `#[step]` and `#[pipeline]` make of what stands below them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prorch::__private::StepDefinition;
use prorch::prelude::*;
use prorch::testing;
use prorch::{Payload, StepEntry};
use serde::{Deserialize, Serialize};

/// A step with every option, and state.
#[step(
    name = "transfer",
    retry(max_attempts = 7, backoff = "250ms..1m30s", if = is_worth_it),
    timeout = "30s",
    deadline = "1d2h",
    poll = "2s",
    resources(String, Vec<u8>)
)]
struct Transfer {
    chunks: u64,
}

fn is_worth_it(error: &StepError) -> bool {
    !error.to_string().contains("denied")
}

impl Step for Transfer {
    type Input = Receipt;
    type Output = Receipt;

    async fn on_start(&mut self, _: &Receipt, _: &StepContext) -> StepResult<Receipt> {
        pending()
    }

    async fn on_continue(&mut self, receipt: &Receipt, _: &StepContext) -> StepResult<Receipt> {
        self.chunks += 1;
        if self.chunks < 3 { pending() } else { finish(receipt.clone()) }
    }
}

/// A step with none.
#[step]
enum Idle {
    #[default]
    Waiting,
    #[allow(dead_code, reason = "it shows that an enum can hold state")]
    Done(u64),
}

impl Step for Idle {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*input)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    number: u64,
}

mod mail {
    use super::*;

    #[step]
    pub(crate) async fn notify(receipt: Receipt, cx: &StepContext) -> StepResult<String> {
        finish(format!("mail {} at attempt {}", receipt.number, cx.attempt()))
    }
}

mod chat {
    use super::*;

    #[step(name = "notify")]
    pub(crate) async fn post(text: &str_::Text) -> StepResult<usize> {
        finish(text.0.len())
    }

    pub(crate) mod str_ {
        /// What a `String` turns into.
        pub(crate) struct Text(pub(crate) String);

        impl From<String> for Text {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    }
}

#[pipeline(steps = [Transfer, mail::notify, chat::post])]
struct Delivery;

#[test]
fn names_are_derived_or_given() {
    assert_eq!(Transfer::NAME, "transfer");
    assert_eq!(Idle::NAME, "Idle");
    assert_eq!(mail::notify::NAME, "notify");
    assert_eq!(Delivery::NAME, "Delivery");
    assert_eq!(Delivery::definition().name(), "Delivery");
    assert_eq!(Delivery::definition().declared_in(), "macros");
}

#[test]
fn options_arrive() {
    let options = Transfer::OPTIONS;
    assert_eq!(options.retry.max_attempts, Some(7));
    assert_eq!(options.retry.backoff, Some((Duration::from_millis(250), Duration::from_secs(90))));
    let only_if = options.retry.only_if.unwrap();
    assert!(only_if(&StepError::from("passing")) && !only_if(&StepError::from("denied")));
    assert_eq!(options.timeout, Some(Duration::from_secs(30)));
    assert_eq!(options.deadline, Some(Duration::from_secs(26 * 3600)));
    assert_eq!(options.poll, Some(Duration::from_secs(2)));
    let needed: Vec<_> = Transfer::RESOURCES.iter().map(|resource| resource().name()).collect();
    assert_eq!(needed, ["alloc::string::String", "alloc::vec::Vec<u8>"]);
}

#[test]
fn what_is_not_said_is_left_to_the_orchestrator() {
    let options = Idle::OPTIONS;
    assert_eq!((options.timeout, options.deadline, options.poll), (None, None, None));
    assert_eq!((options.retry.max_attempts, options.retry.backoff), (None, None));
    assert!(options.retry.only_if.is_none() && Idle::RESOURCES.is_empty() && !Idle::BLOCKING);
}

#[test]
fn a_state_is_stored_as_json_and_a_field_that_is_new_strands_no_run() {
    assert_eq!(&*Transfer { chunks: 3 }.encode().unwrap(), r#"{"chunks":3}"#);
    assert_eq!(Transfer::decode("{}").unwrap().chunks, 0);
    assert!(matches!(Idle::default(), Idle::Waiting));
    assert!(matches!(Idle::decode(r#"{"Done":4}"#).unwrap(), Idle::Done(4)));
}

#[test]
fn the_catalogue_tells_steps_of_one_name_apart() {
    let found = prorch::steps();
    let notify: Vec<_> = found.iter().filter(|step| step.name == "notify").collect();
    let in_chat = StepEntry { declared_in: "macros::chat", name: "notify" };
    let in_mail = StepEntry { declared_in: "macros::mail", name: "notify" };
    assert_eq!(notify, [&in_chat, &in_mail]);
    assert!(found.contains(&StepEntry { declared_in: "macros", name: "transfer" }));
}

#[test]
fn pipelines_are_found() {
    let names: Vec<_> = prorch::pipelines().iter().map(|pipeline| pipeline.name()).collect();
    assert_eq!(names, ["Contract", "Delivery", "Shapes", "Twice", "Waiting", "renamed"]);
}

#[step]
fn double(number: u64) -> Result<u64, std::io::Error> {
    Ok(number * 2)
}

#[pipeline(name = "renamed", steps = [Idle, double])]
struct Renamed;

#[pipeline(steps = [double, Idle, double, double])]
struct Twice;

#[test]
fn a_step_may_stand_more_than_once() {
    assert_eq!(Twice::definition().step_names(), ["double", "Idle", "double#2", "double#3"]);
    assert_eq!(Renamed::NAME, "renamed");
    assert_eq!(Renamed::definition().key().pipeline, "renamed");
    assert_ne!(Twice::definition().key().fingerprint, Renamed::definition().key().fingerprint);
}

#[tokio::test]
async fn a_step_that_stands_twice_runs_twice() {
    assert_eq!(testing::run::<Twice>(5).execute().await.unwrap().output.unwrap(), 40);
}

#[tokio::test]
async fn steps_hand_on_what_the_next_takes_or_what_turns_into_it() {
    let run = testing::run::<Delivery>(Receipt { number: 7 }).resource(String::new()).resource(vec![0_u8]);
    let run = run.execute().await.unwrap();
    assert_eq!(run.output.unwrap(), "mail 7 at attempt 1".len());
    // `on_start`, and `on_continue` once in the same pass and twice after the step's poll interval.
    assert_eq!(run.took, Duration::from_secs(4));
}

#[tokio::test]
async fn what_a_step_needs_is_asked_for_before_it_runs() {
    let run = testing::run::<Delivery>(Receipt { number: 7 }).resource(String::new());
    let error = run.execute().await.err().unwrap().to_string();
    assert!(error.contains("transfer") && error.contains("Vec<u8>"), "{error}");
}

/// No input, and no context.
#[step]
async fn nothing() -> StepResult<u64> {
    finish(1)
}

/// The context alone, and a plain `Result` under an alias.
#[step]
async fn context(cx: &StepContext) -> TextResult {
    Ok(cx.step_name().to_owned())
}

type TextResult = Result<String, std::num::ParseIntError>;

/// A pattern, by value, on the blocking pool.
#[step]
fn pattern(Wrapped { text, .. }: Wrapped) -> Result<(String, u8), StepError> {
    Ok((text, 2))
}

#[derive(Clone, Serialize, Deserialize)]
struct Wrapped {
    text: String,
}

impl From<String> for Wrapped {
    fn from(text: String) -> Self {
        Self { text }
    }
}

/// A tuple by reference, the context in the middle, and resources.
#[step]
async fn everything(
    (text, count): &(String, u8),
    suffix: &String,
    cx: &StepContext,
    factor: &u32,
) -> Result<Progress<Vec<String>>, StepError> {
    assert_eq!(cx.attempt(), 1);
    finish(vec![format!("{text}{suffix}"); usize::from(*count) * *factor as usize])
}

/// Whatever comes, and a resource.
#[step]
async fn whatever(_: Anything, mut_: &u32) -> StepResult<u32> {
    finish(*mut_)
}

#[pipeline(steps = [nothing, context, pattern, everything, whatever])]
struct Shapes;

#[tokio::test]
async fn functions_are_steps_in_every_shape() {
    let run = testing::run::<Shapes>(()).resource("!".to_owned()).resource(3_u32).execute().await.unwrap();
    assert_eq!(run.output.unwrap(), 3);
    let outputs: Vec<_> = run.stored.records.values().map(|record| record.output.clone().unwrap()).collect();
    let texts: Vec<_> = outputs.iter().map(|output| output.as_str()).collect();
    let everything = format!("[{}]", [r#""context!""#; 6].join(","));
    assert_eq!(texts, ["1", r#""context""#, r#"["context",2]"#, &everything, "3"]);
}

#[test]
fn only_plain_functions_block_and_only_resources_are_resources() {
    let blocking = [pattern::BLOCKING, double::BLOCKING, everything::BLOCKING, nothing::BLOCKING];
    assert_eq!(blocking, [true, true, false, false]);
    let needed: Vec<_> = everything::RESOURCES.iter().map(|resource| resource().name()).collect();
    assert_eq!(needed, ["alloc::string::String", "u32"]);
}

#[tokio::test]
async fn a_function_stays_callable() {
    assert_eq!(double(4).unwrap(), 8);
    assert_eq!(nothing().await.unwrap(), Progress::Finished(1));
}

/// Answers at the third look.
#[step(poll = "1m")]
async fn looking(text: String, looks: &AtomicU32) -> StepResult<String> {
    if looks.fetch_add(1, Ordering::Relaxed) < 2 { pending() } else { finish(text) }
}

/// Finished at the third call.
#[step(retry(max_attempts = 3, backoff = "0s..0s"))]
async fn flaky(text: String, cx: &StepContext) -> Result<String, StepError> {
    if cx.attempt() < 3 { Err("not yet".into()) } else { Ok(text) }
}

#[pipeline(steps = [looking, flaky])]
struct Waiting;

#[tokio::test]
async fn a_function_may_wait_and_is_called_again() {
    let run = testing::run::<Waiting>("her".to_owned()).resource(AtomicU32::new(0));
    let run = run.execute().await.unwrap();
    assert_eq!(run.output.unwrap(), "her");
    assert_eq!(run.took, Duration::from_secs(120));
}

/// What the pipeline below promises.
#[derive(Debug, PartialEq)]
struct Total(u64);

impl From<u64> for Total {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

#[pipeline(input = u32, steps = [double], output = Total)]
struct Contract;

#[tokio::test]
async fn a_contract_converts_at_both_ends_and_stores_what_the_step_handed_on() {
    let run = testing::run::<Contract>(21_u32).execute().await.unwrap();
    assert_eq!(run.output.unwrap(), Total(42));
    assert_eq!(run.stored.run.state.output.unwrap(), "42");
}
