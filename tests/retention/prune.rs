//! Which runs go, and what is heard of them then.

use std::time::Duration;

use prorch::repository::{MemoryRepository, Repository};
use prorch::{Error, Retention, Status};

use crate::world::{AGE, Leaf, Other, Scene, Signed, all, everywhere, large, old};

#[tokio::test]
async fn by_age() {
    everywhere(async |scene| {
        let first = scene.start::<Leaf>(1).await;
        scene.work().await;
        scene.clock.advance(AGE / 2);
        let second = scene.start::<Leaf>(2).await;
        scene.work().await;
        let open = scene.start::<Signed>(3).await;
        scene.work().await;
        assert_eq!(scene.prune().await.runs, 0, "none is old enough");
        scene.clock.advance(AGE / 2 + Duration::from_secs(1));
        assert_eq!(scene.prune().await.runs, 1);
        assert!(!scene.is_there(first).await && scene.is_there(second).await);
        scene.grow_old();
        scene.grow_old();
        let report = scene.prune().await;
        assert_eq!((report.runs, report.kept), (1, 0));
        assert!(scene.is_there(open).await, "what has not ended has no age");
    })
    .await;
}

#[tokio::test]
async fn by_status_and_pipeline() {
    everywhere(async |scene| {
        for number in 0..3 {
            scene.start::<Leaf>(number).await;
            scene.start::<Other>(number).await;
            let failing = scene.start::<Signed>(number).await;
            scene.orchestrator.signal(failing, "go", false).await.unwrap();
            let cancelled = scene.start::<Signed>(number).await;
            scene.orchestrator.cancel(cancelled, "enough").await.unwrap();
        }
        scene.work().await;
        scene.grow_old();
        let prune = async |retention: Retention| scene.orchestrator.prune(retention).await.unwrap().runs;
        assert_eq!(scene.count().await, 12);
        assert_eq!(prune(old().pipeline::<Leaf>().status(Status::Failed)).await, 0);
        assert_eq!(prune(old().status(Status::Failed)).await, 3);
        assert_eq!(prune(old().pipeline::<Leaf>().status(Status::Finished)).await, 3);
        assert_eq!(prune(old().pipeline::<Leaf>().pipeline::<Other>()).await, 3);
        let left = all(&scene.orchestrator).await;
        assert!(left.values().all(|stored| stored.run.status() == Status::Cancelled));
        assert_eq!(prune(Retention::new()).await, 0, "unless it is said, they stay for thirty days");
        assert_eq!(prune(old()).await, 3);
        assert_eq!(scene.count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_status_that_no_run_ends_with_is_refused() {
    let scene = Scene::new(MemoryRepository::new());
    let error = scene.orchestrator.prune(old().status(Status::Pending)).await.unwrap_err();
    assert!(error.to_string().contains("name `finished`, `failed` or `cancelled`"), "{error}");
}

#[tokio::test]
async fn what_refers_to_a_run_that_is_gone_hears_so() {
    everywhere(async |scene| {
        let handle = scene.orchestrator.start::<Leaf>(4).key("four").await.unwrap();
        scene.work().await;
        assert_eq!(handle.wait().await.unwrap(), 8);
        scene.grow_old();
        let id = handle.id();
        let same = scene.orchestrator.start::<Leaf>(4).key("four").await.unwrap();
        assert_eq!((same.id(), same.is_new()), (id, false), "its key is its own while it is there");
        scene.prune().await;
        let gone = |error: Error| matches!(error, Error::NotFound(run) if run == id);
        assert_eq!(scene.orchestrator.get(id).await.unwrap(), None);
        assert!(matches!(handle.wait().await, Err(Error::Removed(run)) if run == id));
        assert!(matches!(handle.status().await, Err(Error::Removed(run)) if run == id));
        assert!(gone(scene.orchestrator.signal(id, "go", true).await.unwrap_err()));
        assert!(gone(scene.orchestrator.cancel(id, "enough").await.unwrap_err()));
        assert!(gone(scene.orchestrator.retry(id).await.unwrap_err()));
        assert!(gone(scene.orchestrator.restart(id).await.unwrap_err()));
        assert!(gone(scene.orchestrator.handle::<Leaf>(id).await.unwrap_err()));
        let again = scene.orchestrator.start::<Leaf>(4).key("four").await.unwrap();
        assert!(again.is_new(), "the key is free");
        scene.work().await;
        assert_eq!((again.wait().await.unwrap(), scene.world.calls("double")), (8, 2));
    })
    .await;
}

#[tokio::test]
async fn many_go_in_batches() {
    let repository = MemoryRepository::new();
    let scene = Scene::new(repository.clone());
    for number in 0..1_200 {
        scene.start::<Leaf>(number).await;
    }
    scene.work().await;
    large(&repository, 9_000, &scene.clock).await;
    scene.grow_old();
    let report = scene.prune().await;
    assert_eq!((report.runs, report.kept), (1_201, 0));
    assert_eq!(scene.count().await, 0);
}

#[tokio::test]
async fn two_at_once_do_no_harm() {
    let repository = MemoryRepository::new();
    let scene = Scene::new(repository.clone());
    for number in 0..300 {
        scene.start::<Leaf>(number).await;
    }
    for number in 0..10 {
        scene.start::<crate::world::Tree>(number % 3).await;
    }
    scene.work().await;
    large(&repository, 5_000, &scene.clock).await;
    scene.grow_old();
    let others: Vec<_> = (0..3).map(|_| scene.beside(repository.clone())).collect();
    let (one, two, three) =
        tokio::join!(others[0].prune(old()), others[1].prune(old()), others[2].prune(old()));
    for report in [one, two, three] {
        report.unwrap();
    }
    scene.prune().await;
    assert_eq!(scene.count().await, 0);
    assert!(repository.search(&Default::default()).await.unwrap().runs.is_empty());
}
