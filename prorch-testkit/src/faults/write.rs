use std::sync::Arc;

use prorch_core::repository::{ClaimRequest, NewRun, Repository, Update};

/// A call that writes, as a value: so that it can be made later.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Save(Vec<NewRun>),
    Update(Arc<[Update]>),
    Turn(Arc<[Update]>, Option<ClaimRequest>),
}

impl Write {
    /// Makes the call. Nobody waits for its answer.
    pub(super) async fn arrive(self, repository: &impl Repository) {
        match self {
            Self::Save(runs) => drop(repository.save(runs).await),
            Self::Update(updates) => drop(repository.update(updates).await),
            Self::Turn(updates, claim) => drop(repository.turn(updates, claim).await),
        }
    }

    /// What takes effect of it when it is cut off in the middle, where there is such a middle.
    pub(super) fn first_half(&self) -> Option<Self> {
        match self {
            Self::Turn(updates, Some(_)) if !updates.is_empty() => Some(Self::Turn(updates.clone(), None)),
            _ => None,
        }
    }

    pub(super) const fn is_turn_with_a_claim(&self) -> bool {
        matches!(self, Self::Turn(_, Some(_)))
    }
}
