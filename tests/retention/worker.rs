//! Workers that remove runs now and then.

use std::time::Duration;

use prorch::repository::MemoryRepository;
use prorch::{Orchestrator, OrchestratorConfig, Status};

use crate::world::{Leaf, Scene, Signed, build, old};

#[tokio::test]
async fn a_worker_removes_what_its_retention_lets_go() {
    let repository = MemoryRepository::new();
    let scene = Scene::new(repository.clone());
    for number in 0..5 {
        scene.start::<Leaf>(number).await;
        let cancelled = scene.start::<Signed>(number).await;
        scene.orchestrator.cancel(cancelled, "enough").await.unwrap();
    }
    scene.work().await;
    let config = OrchestratorConfig::default()
        .retention(old().status(Status::Finished))
        .retention(old().pipeline::<Leaf>())
        .prune_every(Duration::from_secs(60));
    let worker = build(Orchestrator::builder(repository.clone()).config(config), &scene.clock, &scene.world);
    let (mut beginning, mut in_the_end) = (10, 10);
    let watched = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            scene.clock.advance(Duration::from_secs(30));
        }
        beginning = scene.count().await;
        scene.grow_old();
        while in_the_end != 5 {
            scene.clock.advance(Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(1)).await;
            in_the_end = scene.count().await;
        }
    };
    worker.run_until(watched).await.unwrap();
    assert_eq!((beginning, in_the_end), (10, 5), "the cancelled ones stay");
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_is_refused() {
    let built = |config| Orchestrator::builder(MemoryRepository::new()).config(config).build();
    let often = OrchestratorConfig::default().prune_every(Duration::from_millis(1));
    assert!(built(often).unwrap_err().to_string().contains("give at least 100 ms"));
    let open = OrchestratorConfig::default().retention(old().status(Status::Created));
    assert!(built(open).unwrap_err().to_string().contains("what may still go on"));
}
