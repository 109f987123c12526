use super::{
    Guard, Hold, MessageId, NewRun, Post, RecordWrite, Removal, RunState, StoredRun, Timestamp, Update,
};

/// What follows from an event: the rows to write, and what comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The run's new columns; none when they stay as they are.
    pub state: Option<RunState>,
    /// Records to write.
    pub records: Vec<RecordWrite>,
    /// Messages that the decision took.
    pub taken: Vec<MessageId>,
    /// Messages for other runs.
    pub posts: Vec<Post>,
    /// Runs to start.
    pub starts: Vec<NewRun>,
    /// What is removed of the run.
    pub removal: Option<Removal>,
    /// What comes next.
    pub next: Next,
}

/// What comes after a [`Decision`] is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The run stays with whoever holds it: there is more to do, or calls are under way (see
    /// [`agenda`](super::agenda())).
    GoOn,
    /// The run is given back and is due at this time, or when a message comes.
    Wait(Option<Timestamp>),
    /// The run ended.
    End,
}

impl Decision {
    /// The update that writes this decision about `run`.
    #[must_use]
    pub fn into_update(self, run: &StoredRun, guard: Guard, now: Timestamp) -> Update {
        let seen = run.seen(&self.taken, self.state.as_ref().unwrap_or(&run.run.state));
        let release = |due_at| Hold::Release { due_at, seen };
        let hold = match self.next {
            Next::GoOn if matches!(guard, Guard::Idle(_)) => release(Some(now)),
            Next::GoOn => Hold::Keep,
            Next::Wait(due_at) => release(due_at),
            Next::End => release(None),
        };
        let mut state = self.state;
        if let (Guard::Idle(_), Some(state)) =
            (guard, state.as_mut().filter(|state| !state.status.is_terminal()))
        {
            // The lease of who held it goes with this: who claims it next would not see that it was cut off.
            state.crashes = run.run.crashes_if_claimed();
        }
        Update {
            locator: run.locator,
            state,
            records: self.records,
            taken: self.taken,
            posts: self.posts,
            starts: self.starts,
            removal: self.removal,
            ..Update::new(run.run.id, guard, hold, now)
        }
    }
}
