//! The span of a call.

use std::collections::BTreeMap;

use prorch::prelude::*;
use prorch::repository::MemoryRepository;
use prorch_testkit::ManualClock;

use crate::capture::{listen, told};

/// What no log may have in it.
const SECRET: &str = "4111-1111-1111-1111";

#[step(retry(max_attempts = 3))]
async fn pay(card: String, cx: &StepContext) -> StepResult<String> {
    tracing::info!(marker = "in pay", "said by a step");
    if cx.attempt() == 1 {
        return Err("the bank is closed".into());
    }
    finish(card)
}

#[step]
fn print(card: String) -> StepResult<String> {
    tracing::info!(marker = "in print", "said by a step on a thread of its own");
    finish(card)
}

#[pipeline(name = "paying", steps = [pay, print])]
struct Paying;

#[step(name = "pay")]
async fn pay_more(cards: u64) -> StepResult<String> {
    finish(cards.to_string())
}

/// A pipeline of the same name and the same steps whose input is another.
#[pipeline(name = "paying", steps = [pay_more, print])]
struct OtherPaying;

fn fields(of: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    of.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn a_call_has_a_span_that_says_which_it_is_and_no_payload() {
    listen();
    let clock = ManualClock::default();
    let orchestrator = Orchestrator::builder(MemoryRepository::new())
        .pipeline::<Paying>()
        .clock(clock.clone())
        .build()
        .unwrap();
    let run = orchestrator.start::<Paying>(SECRET.to_owned()).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    clock.advance(std::time::Duration::from_secs(60));
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(run.wait().await.unwrap(), SECRET);

    let id = run.id().to_string();
    let spans = told(|told| told.name == "prorch.call" && told.has(&id));
    let expected = |step, attempt| {
        vec![
            ("prorch.attempt", attempt),
            ("prorch.pipeline", "paying"),
            ("prorch.run", id.as_str()),
            ("prorch.step", step),
        ]
    };
    let calls = [("pay", "1"), ("pay", "2"), ("print", "1")];
    let found: Vec<_> = spans.iter().map(|span| fields(&span.fields)).collect();
    assert_eq!(found, calls.map(|(step, attempt)| expected(step, attempt)));
    for (marker, step, times) in [("in pay", "pay", 2), ("in print", "print", 1)] {
        let said = told(|told| told.has(marker) && told.within.iter().any(|span| span["prorch.run"] == id));
        assert_eq!(said.len(), times, "what a step says is told within its call");
        assert!(said.iter().all(|said| said.within.len() == 1 && said.within[0]["prorch.step"] == step));
    }
    assert_eq!(told(|told| told.has(SECRET)).len(), 0, "no payload is logged");
}

#[tokio::test]
async fn an_input_that_cannot_be_read_is_named_without_its_words() {
    listen();
    let repository = MemoryRepository::new();
    let one = Orchestrator::builder(repository.clone()).pipeline::<Paying>().build().unwrap();
    let run = one.start::<Paying>(SECRET.to_owned()).await.unwrap();
    let other = Orchestrator::builder(repository).pipeline::<OtherPaying>().build().unwrap();
    let report = other.execute_pipelines().await.unwrap();
    assert!(report.left[0].why.contains(SECRET), "whoever asks is told all: {:?}", report.left);

    let id = run.id().to_string();
    let named = told(|told| told.level == tracing::Level::WARN && told.has(&id));
    assert_eq!(named.len(), 1, "{named:#?}");
    assert!(named[0].has("a `u64` can't be decoded"), "{named:#?}");
    assert_eq!(told(|told| told.has(SECRET)).len(), 0, "no payload is logged");
}
