//! Runs with many members in one stage, in processes that are killed and started.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prorch_core::orchestrator::RunHandle;
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::{Filter, Parent, Position, RunId, Status};

use super::LONGEST;
use super::items::{Family, Items, Many};
use super::journal::{Does, Effect};
use super::killed::Victims;
use super::pipelines::Plain;
use super::scene::Scene;
use super::tally::{Tally, assert_quiet};
use crate::soak::{chance, pick, say};

const WORKERS: usize = 4;

/// Four workers that are killed and started do the children of one parent, and the items of one list: each child and each
/// item comes to its end once, is told once, and was called again only where a process was killed before it could commit.
pub async fn a_thousand_children_and_a_thousand_items_end_once_each_whenever_workers_are_killed(
    scene: Scene,
) {
    let (members, kills) = (pick(80, 1_000), pick(4, 24));
    let many = Many { members, work: Duration::from_millis(2) };
    let (began, mut chance) = (Instant::now(), chance());
    let mut victims = Victims::new(&scene, WORKERS);
    let family = start::<Family>(&scene, many.clone()).await;
    let items = start::<Items>(&scene, many).await;
    let mut committed = Vec::new();
    // Each child makes three calls, each item one.
    let calls = members as usize * 4;
    while victims.killed.len() < kills {
        // Kills are spread over the work: the next one is due when so much of it is done.
        let done = scene.effects().iter().filter(|effect| effect.does == Does::Finishes).count();
        if done * kills >= victims.killed.len() * calls {
            victims.kill_one(&mut chance).await;
            committed.push(Committed::look(&scene, items.id()).await);
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    scene.until_all_ended(LONGEST, |_| {}).await;
    victims.stop();

    assert_eq!(family.wait().await.expect("the parent finishes"), members as usize);
    assert!(items.wait().await.expect("the list finishes").into_iter().eq(0..members), "all items, in order");
    assert_children(&scene, family.id(), members as usize).await;
    let effects = scene.effects();
    let tally = Tally::of(&effects, Plain::CALLS);
    tally.assert_calls_accounted(&victims.killed);
    victims.assert_nothing_after_an_end(&effects);
    committed.iter().for_each(|committed| committed.assert_not_called_again(&effects));
    for step in ["First", "Second", "Third", "Item"] {
        assert_eq!(tally.calls_of(step), members as usize, "of `{step}`");
    }
    assert_quiet(&scene);
    say(&format!(
        "{kills} kills of {WORKERS} processes over {members} children of one run and {members} items of another: {:.1?}, \
         {calls} calls, {} of them finished again, {} cut off",
        began.elapsed(),
        tally.finished() - calls,
        tally.count(Does::Begins) - tally.finished(),
    ));
}

/// The items whose end was committed when a worker was killed, with how many effects there were by then.
struct Committed {
    run: RunId,
    items: BTreeSet<u32>,
    effects: usize,
}

impl Committed {
    async fn look(scene: &Scene, run: RunId) -> Self {
        let stored =
            scene.orchestrator().get(run).await.expect("the store can be read").expect("it is there");
        let finished = stored.records.values().filter(|record| record.status == Status::Finished);
        let items = finished.filter(|record| record.name == "Item").map(|record| record.position.item);
        // First the store, then the journal: what it says beyond is later than the ends.
        Self { run, items: items.collect(), effects: scene.effects().len() }
    }

    fn assert_not_called_again(&self, effects: &[Effect]) {
        let again = |effect: &&Effect| effect.run == self.run && self.items.contains(&effect.asked);
        let late = effects[self.effects..].iter().filter(|effect| effect.step == "Item").find(again);
        assert_eq!(late, None, "an effect after the end of its item");
    }
}

async fn start<P: Pipeline>(scene: &Scene, input: P::Input) -> RunHandle<P> {
    scene.orchestrator().start::<P>(input).await.expect("the run can be started")
}

/// There are so many children and no others, one for each record of the parent, and each told its end once.
async fn assert_children(scene: &Scene, parent: RunId, members: usize) {
    let all = Filter::all().limit(usize::MAX);
    let runs = scene.orchestrator().search(&all).await.expect("the store can be read").runs;
    let starters: Vec<Parent> = runs.iter().filter_map(|run| run.parent).collect();
    assert_eq!(
        (starters.len(), runs.len()),
        (members, members + 2),
        "children, and with the parent and the list"
    );
    let places: BTreeSet<Position> = starters.iter().map(|starter| starter.position).collect();
    assert_eq!(places.len(), members, "records that started a child");
    assert!(starters.iter().all(|starter| starter.run == parent));
    let open: Vec<_> = runs.iter().filter(|run| run.status() != Status::Finished).collect();
    assert!(open.is_empty(), "{open:#?}");
    let told = runs.iter().find(|run| run.id == parent).map(|run| run.inbox_seq);
    assert_eq!(told, Some(members as u64), "ends that the parent was told");
}
