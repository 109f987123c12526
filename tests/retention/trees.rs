//! Runs that have started others.

use prorch::repository::{Filter, MemoryRepository, RunId};
use prorch::{Error, NoRestart, PruneReport, Status};

use crate::world::{Above, Chain, Leaf, Scene, Signed, Tree, Waiting, everywhere, old};

async fn children(scene: &Scene, run: RunId) -> Vec<RunId> {
    let filter = Filter { parents: vec![run], ..Filter::all() };
    scene.orchestrator.search(&filter).await.unwrap().runs.iter().map(|run| run.id).collect()
}

fn why(report: &PruneReport) -> String {
    report.left.iter().map(|left| left.why.to_string()).collect()
}

#[tokio::test]
async fn a_tree_goes_whole() {
    everywhere(async |scene| {
        scene.start::<Tree>(3).await;
        scene.start::<Leaf>(1).await;
        scene.work().await;
        assert_eq!(scene.count().await, 1 + 3 + 3 + 1);
        scene.grow_old();
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept), (8, 0));
        assert_eq!(scene.count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_a_run_has_started_stays_while_it_may_go_on() {
    everywhere(async |scene| {
        let waiting = scene.start::<Waiting>(5).await;
        scene.work().await;
        scene.grow_old();
        scene.grow_old();
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept, scene.count().await), (0, 0, 3));
        scene.orchestrator.signal(waiting, "go", true).await.unwrap();
        scene.work().await;
        let handle = scene.orchestrator.handle::<Waiting>(waiting).await.unwrap();
        assert_eq!(handle.wait().await.unwrap(), 10);
        assert_eq!(scene.world.calls("double"), 1, "what it had started was not started again");
    })
    .await;
}

#[tokio::test]
async fn a_tree_stays_while_a_run_below_its_root_is_open() {
    everywhere(async |scene| {
        let above = scene.start::<Above>(5).await;
        scene.work().await;
        let below = children(&scene, above).await[0];
        scene.orchestrator.signal(below, "go", false).await.unwrap();
        scene.work().await;
        scene.grow_old();
        scene.orchestrator.retry(below).await.unwrap();
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept), (0, 1));
        assert!(why(&report).contains("which stands below it, is pending"), "{report:?}");
        assert!(!scene.orchestrator.get(above).await.unwrap().unwrap().run.sealed);
        scene.orchestrator.signal(below, "go", true).await.unwrap();
        scene.work().await;
        assert_eq!(scene.prune().await.runs, 2, "the root counts, whatever the age of what is below it");
    })
    .await;
}

#[tokio::test]
async fn a_run_stays_as_long_as_one_that_was_restarted_from_it() {
    everywhere(async |scene| {
        let old_run = scene.start::<Chain>(5).await;
        scene.work().await;
        scene.orchestrator.signal(old_run, "go", false).await.unwrap();
        scene.work().await;
        scene.grow_old();
        let new = scene.orchestrator.restart(old_run).from("double").await.unwrap().id();
        scene.work().await;
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept), (0, 1));
        assert!(why(&report).contains("restarted from it"), "{report:?}");
        scene.orchestrator.signal(new, "go", true).await.unwrap();
        scene.work().await;
        let handle = scene.orchestrator.handle::<Chain>(new).await.unwrap();
        assert_eq!(handle.wait().await.unwrap(), 20, "which took over what a run of the old one handed on");
        scene.grow_old();
        let newest = scene.orchestrator.restart(new).from("signed").await.unwrap().id();
        scene.work().await;
        scene.grow_old();
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept), (0, 2), "what the third took over may be one of the first");
        scene.orchestrator.cancel(newest, "enough").await.unwrap();
        scene.grow_old();
        let gone = [scene.prune().await.runs, scene.prune().await.runs, scene.prune().await.runs];
        assert_eq!((gone.iter().sum::<u64>(), scene.count().await), (4, 0));
    })
    .await;
}

/// As it is left when a removal is cut off.
#[tokio::test]
async fn nobody_goes_on_with_a_run_that_is_being_removed() {
    let repository = MemoryRepository::new();
    let scene = Scene::new(repository.clone());
    let run = scene.start::<Signed>(5).await;
    scene.orchestrator.signal(run, "go", false).await.unwrap();
    let good = scene.orchestrator.start::<Leaf>(5).await.unwrap();
    scene.work().await;
    for id in [run, good.id()] {
        seal(&repository, id).await;
    }
    let orchestrator = &scene.orchestrator;
    let refused = orchestrator.retry(run).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    assert!(refused.to_string().ends_with("a run that is failed can't be retried: it is being removed"));
    let refused = orchestrator.restart(run).await.unwrap_err();
    assert!(matches!(refused, Error::NotRestarted { why: NoRestart::Sealed, .. }), "{refused}");
    let refused = orchestrator.signal(run, "go", true).await.unwrap_err();
    assert!(refused.to_string().ends_with("can't be signalled: it is being removed"), "{refused}");
    assert!(matches!(good.wait().await, Err(Error::Removed(_))), "its output may be gone");
    assert_eq!(good.status().await.unwrap(), Status::Finished);
    assert_eq!(orchestrator.prune(old()).await.unwrap().runs, 2, "whatever its age: it has begun");
}

async fn seal(repository: &MemoryRepository, id: RunId) {
    use prorch::repository::{Answer, Guard, Hold, Part, Removal, Repository, Update};
    let run = repository.get(id, Part::Row).await.unwrap().unwrap().run;
    let hold = Hold::Release { due_at: None, seen: 0 };
    let seal = Update::new(id, Guard::Idle(run.epoch), hold, run.created_at);
    let answers = repository.update([Update { removal: Some(Removal::Seal), ..seal }].into()).await.unwrap();
    assert!(matches!(answers[..], [Answer::Applied { .. }]));
}
