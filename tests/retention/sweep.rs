//! A removal under every fault that can happen at one of its writes: never is a run gone while the one that started it may
//! go on, nor is anything of a run gone that is not sealed; what is left can be removed, and what stays goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use prorch::repository::{MemoryRepository, Repository, RunId, StoredRun};
use prorch_testkit::faults::{Fault, FaultyRepository};
use prorch_testkit::soak;

use crate::world::{Leaf, Scene, Tree, Waiting, all, large, old};

/// So many that they go in two pieces.
const LARGE: u32 = 2_100;

type Stored = BTreeMap<RunId, StoredRun>;

struct Before {
    scene: Scene,
    waiting: RunId,
    stored: Stored,
}

async fn prepare<R: Repository>(store: &Arc<R>) -> Before {
    let scene = Scene::new(FaultyRepository::at(store.clone(), Fault::Refused, u64::MAX));
    let waiting = scene.start::<Waiting>(5).await;
    for number in [1, 2] {
        scene.start::<Leaf>(number).await;
        scene.start::<Tree>(number).await;
    }
    scene.work().await;
    large(&**store, LARGE, &scene.clock).await;
    scene.grow_old();
    let stored = all(&scene.orchestrator).await;
    assert_eq!(stored.len(), 3 + 2 + (1 + 1 + 1) + (1 + 2 + 2) + 1);
    Before { scene, waiting, stored }
}

/// What must hold at any time.
fn check(before: &Stored, now: &Stored, what: &str) {
    for (id, old) in before {
        let parent = old.run.parent.map(|parent| parent.run);
        match now.get(id) {
            Some(stored) => {
                assert!(
                    parent.is_none_or(|parent| now.contains_key(&parent)),
                    "{what}: {id} has lost its parent"
                );
                assert!(stored.run.sealed || stored == old, "{what}: {id} is not as it was");
            }
            None => {
                let sealed = |parent| now.get(&parent).is_none_or(|parent: &StoredRun| parent.run.sealed);
                assert!(
                    parent.is_none_or(sealed),
                    "{what}: {id} is gone, and the one that started it may go on"
                );
            }
        }
    }
}

/// Says how many writes there were, and whether the fault happened.
async fn sweep<R: Repository>(store: &Arc<R>, fault: Fault, write: u64) -> (u64, bool) {
    let what = format!("{fault:?} at write {write}");
    let Before { scene, waiting, stored } = prepare(store).await;
    let faulty = FaultyRepository::at(store.clone(), fault, write);
    let pruned = scene.beside(faulty.clone()).prune(old()).await;
    assert_eq!(pruned.is_err(), faulty.is_dead(), "{what}: {pruned:?}");
    let cut_off = all(&scene.orchestrator).await;
    check(&stored, &cut_off, &what);
    if let Ok(report) = pruned {
        assert_eq!((report.runs, report.kept), (11, 0), "{what}");
    }
    faulty.revive();
    scene.prune().await;
    faulty.settle().await;
    let left = all(&scene.orchestrator).await;
    check(&stored, &left, &what);
    assert_eq!(left.len(), 3, "{what}: {left:#?}");
    scene.orchestrator.signal(waiting, "go", true).await.unwrap();
    scene.work().await;
    let handle = scene.orchestrator.handle::<Waiting>(waiting).await.unwrap();
    assert_eq!(handle.wait().await.unwrap(), 10, "{what}");
    assert_eq!(scene.world.calls("double"), 1 + 2 + 1 + 2, "{what}: nothing was done again");
    (faulty.writes(), !faulty.happened().is_empty())
}

async fn sweep_all<R: Repository>(open: impl AsyncFn() -> R, faults: &[Fault]) -> u64 {
    let mut happened = 0;
    // There is no claim in a removal.
    for fault in faults.iter().copied().filter(|fault| *fault != Fault::DiesBetween) {
        for write in 0.. {
            let (writes, did) = sweep(&Arc::new(open().await), fault, write).await;
            happened += u64::from(did);
            if writes <= write {
                break;
            }
        }
    }
    happened
}

#[tokio::test]
async fn a_removal_under_every_fault() {
    let happened = sweep_all(async || MemoryRepository::new(), &Fault::AT_A_WRITE).await;
    assert!(happened >= 6 * 10, "{happened} faults");
}

#[tokio::test]
async fn a_removal_under_every_fault_on_sqlite() {
    let open = async || prorch::SqliteRepository::open_in_memory().unwrap();
    let faults = soak::pick(&[Fault::DiesBefore, Fault::DiesAfter][..], &Fault::AT_A_WRITE);
    let happened = sweep_all(open, faults).await;
    assert!(happened >= 2 * 10, "{happened} faults");
}
