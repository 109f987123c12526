//! What a program can say about a schedule, and what follows.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, NewRun, Repository, StoredRun};
use prorch::{Error, Missed, Retention, Status};
use prorch_testkit::ManualClock;

use crate::bench::{HOUR, MINUTE, Note, note, orchestrator, runs, ticks, time};

/// Waits for what never comes.
#[step]
async fn linger() -> StepResult<()> {
    wait_for_signal("go", None)
}

#[pipeline(steps = [linger])]
struct Linger;

async fn pass(orchestrator: &Orchestrator, clock: &ManualClock, later: Duration) {
    clock.advance(later);
    orchestrator.execute_pipelines().await.unwrap();
}

fn why(error: Error) -> String {
    let Error::Schedule { why, .. } = error else { panic!("{error}") };
    why
}

#[tokio::test]
async fn a_tick_starts_a_run_with_what_the_schedule_says() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let schedule =
        orchestrator.schedule::<Note>("half past", "30 * * * *", 7).priority(2).metadata("by", "me");
    let made = schedule.await.unwrap();
    assert_eq!(
        (made.name.as_str(), made.pipeline.as_str(), made.timezone.as_str()),
        ("half past", "Note", "UTC")
    );
    assert_eq!((made.last, made.next), (None, Some(time("2026-01-01T00:30:00Z"))));
    pass(&orchestrator, &clock, Duration::ZERO).await;
    pass(&orchestrator, &clock, 30 * MINUTE).await;
    let found = runs(&orchestrator, "half past").await;
    assert_eq!(found.len(), 1);
    let run = &found[0];
    assert_eq!(run.key.as_deref(), Some("half past@2026-01-01T00:30:00Z"));
    assert_eq!((run.priority, &*run.input, run.status()), (2, "7", Status::Finished));
    assert_eq!(
        (&run.state.metadata["by"], &run.state.metadata["tick"]),
        (&"me".into(), &"2026-01-01T00:30:00Z".into())
    );
    assert_eq!(run.parent, None);
    let now = orchestrator.schedules().await.unwrap();
    assert_eq!(now[0].last, Some(time("2026-01-01T00:30:00Z")));
    assert_eq!(now[0].next, Some(time("2026-01-01T01:30:00Z")));
}

#[tokio::test]
async fn a_worker_that_waits_hears_of_a_schedule_that_is_made_and_of_one_that_is_changed() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let worker = tokio::spawn({
        let orchestrator = orchestrator.clone();
        async move { orchestrator.run_until(std::future::pending::<()>()).await }
    });
    orchestrator.schedule::<Note>("s", "0 0 1 1 *", 1).await.unwrap();
    orchestrator.schedule::<Note>("s", "30 * * * *", 2).await.unwrap();
    while runs(&orchestrator, "s").await.is_empty() {
        clock.advance(10 * MINUTE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(&*runs(&orchestrator, "s").await[0].input, "2");
    worker.abort();
}

#[tokio::test]
async fn what_was_missed_is_skipped_or_fires_by_the_latest_or_by_so_many() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    for (name, missed) in [("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All(3))] {
        orchestrator.schedule::<Note>(name, "0 * * * *", 1).missed(missed).await.unwrap();
    }
    pass(&orchestrator, &clock, Duration::ZERO).await;
    pass(&orchestrator, &clock, 9 * HOUR + 10 * MINUTE).await;
    let hours = async |name| {
        let ticks = ticks(&orchestrator, name).await;
        ticks.iter().map(|tick| tick[11..13].to_owned()).collect::<Vec<_>>()
    };
    assert!(hours("skip").await.is_empty());
    assert_eq!(hours("latest").await, ["09"]);
    assert_eq!(hours("all").await, ["07", "08", "09"]);
    pass(&orchestrator, &clock, 50 * MINUTE).await;
    assert_eq!(hours("skip").await, ["10"]);
    assert_eq!(hours("latest").await, ["09", "10"]);
    assert_eq!(hours("all").await, ["07", "08", "09", "10"]);
}

#[tokio::test]
async fn without_overlap_a_tick_is_passed_over_while_the_run_before_goes_on() {
    let clock = ManualClock::default();
    let builder = Orchestrator::builder(MemoryRepository::new()).clock(clock.clone());
    let orchestrator = builder.pipeline::<Linger>().build().unwrap();
    orchestrator.schedule::<Linger>("alone", "0 * * * *", ()).no_overlap().await.unwrap();
    orchestrator.schedule::<Linger>("beside", "0 * * * *", ()).await.unwrap();
    for _ in 0..4 {
        pass(&orchestrator, &clock, HOUR).await;
    }
    let of = async |name: &str| {
        let filter = Filter::all().pipeline(Linger::NAME).metadata("schedule", name);
        orchestrator.search(&filter).await.unwrap().runs
    };
    assert_eq!((of("alone").await.len(), of("beside").await.len()), (1, 4));
    orchestrator.cancel(of("alone").await[0].id, "enough").await.unwrap();
    pass(&orchestrator, &clock, HOUR).await;
    let alone = of("alone").await;
    assert_eq!(alone.len(), 2);
    assert_eq!(alone[1].key.as_deref(), Some("alone@2026-01-01T05:00:00Z"), "those passed over never fire");
}

#[tokio::test]
async fn a_paused_schedule_fires_nothing_until_it_is_resumed() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    orchestrator.schedule::<Note>("s", "0 * * * *", 1).missed(Missed::Skip).await.unwrap();
    pass(&orchestrator, &clock, HOUR).await;
    orchestrator.pause_schedule("s").await.unwrap();
    let paused = orchestrator.schedules().await.unwrap();
    assert!(paused[0].is_paused && paused[0].next.is_none());
    pass(&orchestrator, &clock, 2 * HOUR + 30 * MINUTE).await;
    orchestrator.resume_schedule("s").await.unwrap();
    pass(&orchestrator, &clock, Duration::ZERO).await;
    pass(&orchestrator, &clock, 30 * MINUTE).await;
    assert_eq!(ticks(&orchestrator, "s").await, ["2026-01-01T01:00:00Z", "2026-01-01T04:00:00Z"]);
}

#[tokio::test]
async fn a_schedule_is_deleted_and_its_name_is_free_again() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    for minute in ["0", "30"] {
        orchestrator.schedule::<Note>("s", format!("{minute} * * * *"), 1).await.unwrap();
        pass(&orchestrator, &clock, HOUR).await;
        orchestrator.delete_schedule("s").await.unwrap();
        assert!(orchestrator.schedules().await.unwrap().is_empty());
        pass(&orchestrator, &clock, HOUR).await;
    }
    assert_eq!(ticks(&orchestrator, "s").await, ["2026-01-01T01:00:00Z", "2026-01-01T02:30:00Z"]);
    let gone = orchestrator.delete_schedule("s").await.unwrap_err();
    assert_eq!(gone.to_string(), "the schedule `s`: there is none of this name");
}

#[tokio::test]
async fn a_change_counts_from_now_on_and_where_the_ticks_stay_none_is_forgotten() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    orchestrator.schedule::<Note>("s", "0 0 * * *", 1).await.unwrap();
    pass(&orchestrator, &clock, 20 * HOUR).await;
    orchestrator.schedule::<Note>("s", "0 * * * *", 2).await.unwrap();
    pass(&orchestrator, &clock, 30 * MINUTE).await;
    assert!(ticks(&orchestrator, "s").await.is_empty(), "those before the change don't fire");
    clock.advance(40 * MINUTE);
    let changed = orchestrator.schedule::<Note>("s", "0 * * * *", 3).await.unwrap();
    assert_eq!(changed.cron, "0 * * * *");
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(
        ticks(&orchestrator, "s").await,
        ["2026-01-01T21:00:00Z"],
        "it was missed, and is not forgotten"
    );
    assert_eq!(&*runs(&orchestrator, "s").await[0].input, "3");
}

#[tokio::test]
async fn a_tick_whose_run_is_removed_never_fires_again() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    orchestrator.schedule::<Note>("s", "0 * * * *", 1).missed(Missed::All(10)).await.unwrap();
    for _ in 0..3 {
        pass(&orchestrator, &clock, HOUR).await;
    }
    clock.advance(MINUTE);
    let removed = orchestrator.prune(Retention::new().older_than(Duration::ZERO)).await.unwrap();
    assert_eq!(removed.runs, 3, "and the schedule stays");
    pass(&orchestrator, &clock, HOUR).await;
    assert_eq!(ticks(&orchestrator, "s").await, ["2026-01-01T04:00:00Z"]);
}

#[tokio::test]
async fn a_schedule_that_is_made_again_when_all_is_removed_begins_anew() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    for _ in 0..2 {
        orchestrator.schedule::<Note>("s", "0 * * * *", 1).missed(Missed::All(10)).await.unwrap();
        pass(&orchestrator, &clock, HOUR).await;
        orchestrator.delete_schedule("s").await.unwrap();
        assert_eq!(ticks(&orchestrator, "s").await.len(), 1);
        clock.advance(MINUTE);
        let removed = orchestrator.prune(Retention::new().older_than(Duration::ZERO)).await.unwrap();
        assert_eq!(removed.runs, 2);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_fires_no_tick_again_also_when_the_runs_are_gone() {
    let clock = ManualClock::default();
    let before = orchestrator(MemoryRepository::new(), &clock);
    before.schedule::<Note>("s", "0 * * * *", 1).await.unwrap();
    for _ in 0..3 {
        pass(&before, &clock, HOUR).await;
    }
    // A store with the schedule alone: what retention leaves. And a machine whose clock is three days behind.
    let schedule = before.get(before.schedules().await.unwrap()[0].run).await.unwrap().unwrap();
    let repository = MemoryRepository::new();
    repository.save(vec![as_new(schedule)]).await.unwrap();
    let behind = ManualClock::at(time("2025-12-29T00:00:00Z"));
    let after = orchestrator(repository, &behind);
    pass(&after, &behind, 24 * HOUR).await;
    assert!(ticks(&after, "s").await.is_empty());
    for _ in 0..3 * 24 {
        pass(&after, &behind, HOUR).await;
    }
    let fired = ticks(&after, "s").await;
    assert_eq!(fired.first().map(String::as_str), Some("2026-01-01T04:00:00Z"), "{fired:?}");
}

/// The same run with the same records, as it would be inserted.
fn as_new(stored: StoredRun) -> NewRun {
    let StoredRun { run, records, .. } = stored;
    NewRun {
        key: run.key,
        metadata: run.state.metadata,
        records: records.into_values().collect(),
        due_at: run.due_at.unwrap(),
        ..NewRun::new(run.id, run.definition, run.input, run.created_at)
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_told() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let told = async |name: &str, cron: &str, zone: &str, missed| {
        let schedule = orchestrator.schedule::<Note>(name, cron, 1).timezone(zone).missed(missed);
        why(schedule.await.unwrap_err())
    };
    let latest = Missed::Latest;
    for (told, part) in [
        (told("s", "0 25 * * *", "UTC", latest).await, "`25` is no hour"),
        (told("s", "0 3 * * * * 2020", "UTC", latest).await, "7 fields"),
        (told("s", "0 3 30 2 *", "UTC", latest).await, "never fires"),
        (told("s", "0 3 * * *", "Europe/Madird", latest).await, "no time zone `Europe/Madird`"),
        (told("", "0 3 * * *", "UTC", latest).await, "1 to 200 bytes"),
        (told("s", "0 3 * * *", "UTC", Missed::All(0)).await, "1 to 100"),
    ] {
        assert!(told.contains(part), "{told}");
    }
    let overlap =
        orchestrator.schedule::<Note>("s", "* * * * *", 1).missed(Missed::All(2)).no_overlap().await;
    assert!(why(overlap.unwrap_err()).contains("Missed::Latest"));
    let urgent = orchestrator.schedule::<Note>("s", "* * * * *", 1).priority(10).await;
    assert!(why(urgent.unwrap_err()).contains("from 0 to 9"));
    orchestrator.schedule::<Note>("s", "* * * * *", 1).await.unwrap();
    let other = orchestrator.schedule::<Linger>("s", "* * * * *", ()).await.unwrap_err();
    assert!(why(other).contains("starts runs of the pipeline `Note`"));
    assert_eq!(orchestrator.schedules().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_schedule_of_a_pipeline_that_is_unknown_is_left_to_those_who_know_it() {
    let clock = ManualClock::default();
    let repository = MemoryRepository::new();
    let knows = orchestrator(repository.clone(), &clock);
    knows.schedule::<Note>("s", "0 * * * *", 1).await.unwrap();
    let builder = Orchestrator::builder(repository).clock(clock.clone());
    let other = builder.pipeline::<Linger>().build().unwrap();
    clock.advance(HOUR);
    let report = other.execute_pipelines().await.unwrap();
    assert!(ticks(&knows, "s").await.is_empty());
    assert_eq!(report.claimed, 0);
    knows.execute_pipelines().await.unwrap();
    assert_eq!(ticks(&knows, "s").await.len(), 1);
}

#[tokio::test]
async fn a_signal_that_changes_nothing_does_not_stop_a_schedule() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let run = orchestrator.schedule::<Note>("s", "0 * * * *", 1).await.unwrap().run;
    orchestrator.signal(run, "prorch.schedule", "nonsense".to_owned()).await.unwrap();
    pass(&orchestrator, &clock, HOUR).await;
    assert_eq!(ticks(&orchestrator, "s").await.len(), 1);
}

/// A name that prorch keeps for itself.
mod reserved {
    use super::*;

    #[pipeline(name = "prorch.schedule", steps = [note])]
    pub(super) struct Reserved;
}

#[tokio::test]
async fn a_pipeline_with_a_reserved_name_is_refused() {
    let builder = Orchestrator::builder(MemoryRepository::new()).pipeline::<reserved::Reserved>();
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("names that begin with `prorch.` are prorch's own"), "{error}");
}
