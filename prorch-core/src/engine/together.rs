use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::Instrument;

use super::calls::PlannedCall;
use super::executor::{Guarded, Returned, guarded};
use super::slots::SlotId;
use super::wake::Inbound;
use crate::clock::Clock;
use crate::step::{Asked, BatchContext, Gathered, Many, Told};

/// A call for several records that is to be made.
pub(super) struct TogetherJob {
    pub(super) many: &'static Many,
    pub(super) batch: Vec<PlannedCall>,
    pub(super) cx: BatchContext,
    pub(super) timeout: Duration,
    pub(super) max_payload: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sender: mpsc::UnboundedSender<Inbound>,
    pub(super) span: tracing::Span,
}

/// What came of a call for several records.
pub(super) struct Came {
    /// Which calls it was made for.
    pub(super) of: Vec<(SlotId, u64)>,
    pub(super) ended: Ended,
}

/// How a call for several records ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It came to its end: what it says of each, or how that panicked.
    Told(Vec<(usize, Result<Told, String>)>),
    /// It took longer than its timeout.
    TimedOut,
    /// It panicked, with these words.
    Panicked(String),
}

/// Makes a call for several records and says what came of it, whatever the user's code does.
pub(super) async fn execute_together(job: TogetherJob) {
    let TogetherJob { many, batch, cx, timeout, max_payload, clock, sender, span } = job;
    let mut reply = ReplyToAll::new(&batch, sender);
    let deadlines = Deadlines::of(&batch);
    let work = async {
        let (gathered, mut told) = gather(many, batch);
        let call = Guarded::new(Box::new(move || Box::pin(ask(gathered, cx))));
        match within(call, &*clock, timeout, deadlines, &reply).await {
            Some(Ok((gathered, asked))) => {
                told.extend(take_all(gathered, &asked, max_payload));
                Ended::Told(told)
            }
            Some(Err(panic)) => Ended::Panicked(panic),
            None => Ended::TimedOut,
        }
    };
    let ended = work.instrument(span).await;
    reply.say(ended);
}

/// What is known of a record without asking: that it can't be read.
type Known = (usize, Result<Told, String>);

/// Decodes what is stored for the records. One that can't be decoded is in nobody's way.
fn gather(many: &Many, batch: Vec<PlannedCall>) -> (Box<dyn Gathered>, Vec<Known>) {
    let mut gathered = (many.none)();
    let mut told = Vec::new();
    for (at, planned) in batch.into_iter().enumerate() {
        // What a panic leaves is as it was: a record is added when all else is done.
        let added = guarded(|| planned.member.add(&mut *gathered, at, planned.invocation));
        match added {
            Ok(Ok(())) => {}
            Ok(Err(reply)) => told.push((at, Ok(Told::Reply(*reply)))),
            Err(panic) => told.push((at, Err(panic))),
        }
    }
    (gathered, told)
}

async fn ask(mut gathered: Box<dyn Gathered>, cx: BatchContext) -> (Box<dyn Gathered>, Asked) {
    let asked = match gathered.last_at() {
        Some(_) => gathered.ask(&cx).await,
        None => Asked::Answered,
    };
    (gathered, asked)
}

/// What the call came to for each. One whose answer can't be encoded without a panic is in nobody's way either.
fn take_all(mut gathered: Box<dyn Gathered>, asked: &Asked, max_payload: usize) -> Vec<Known> {
    let mut told = Vec::new();
    while let Some(at) = gathered.last_at() {
        let taken = guarded(|| gathered.take_last(asked, max_payload));
        told.push((at, taken.map(|told| told.unwrap_or(Told::Nothing))));
    }
    told
}

/// The call's answer, or none when it took too long: then its future is dropped. Of records whose deadline passes meanwhile
/// that is said at once, and the call goes on for the others.
async fn within<T>(
    mut call: Guarded<T>,
    clock: &dyn Clock,
    timeout: Duration,
    mut deadlines: Deadlines,
    reply: &ReplyToAll,
) -> Option<Result<T, String>> {
    let began = clock.elapsed();
    loop {
        let next = deadlines.next().map_or(timeout, |deadline| deadline.min(timeout));
        let mut sleep = None;
        let in_time = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut call).poll(cx) {
                return Poll::Ready(Some(ended));
            }
            let left = || next.saturating_sub(clock.elapsed().saturating_sub(began));
            sleep.get_or_insert_with(|| clock.sleep(left())).as_mut().poll(cx).map(|()| None)
        })
        .await;
        if in_time.is_some() {
            return in_time;
        }
        deadlines.pass(next).for_each(|at| reply.expired(at));
        if next == timeout {
            return None;
        }
    }
}

/// How far the deadlines of records are away, and whose they are: the next one last.
struct Deadlines(Vec<(Duration, usize)>);

impl Deadlines {
    fn of(batch: &[PlannedCall]) -> Self {
        let deadline = |(at, planned): (usize, &PlannedCall)| Some((planned.limit.deadline()?, at));
        let mut deadlines: Vec<_> = batch.iter().enumerate().filter_map(deadline).collect();
        deadlines.sort_unstable_by(|one, other| other.cmp(one));
        Self(deadlines)
    }

    fn next(&self) -> Option<Duration> {
        self.0.last().map(|(deadline, _)| *deadline)
    }

    /// Takes those away that have passed when this time has.
    fn pass(&mut self, time: Duration) -> impl Iterator<Item = usize> {
        let left = self.0.partition_point(|(deadline, _)| *deadline > time);
        self.0.drain(left..).map(|(_, at)| at)
    }
}

/// Where a call's answers go. If the task ends without any (its runtime shuts down, say), that is said.
struct ReplyToAll {
    of: Vec<(SlotId, u64)>,
    sender: mpsc::UnboundedSender<Inbound>,
    is_said: bool,
}

impl ReplyToAll {
    fn new(batch: &[PlannedCall], sender: mpsc::UnboundedSender<Inbound>) -> Self {
        let of = batch.iter().map(|planned| (planned.slot, planned.serial)).collect();
        Self { of, sender, is_said: false }
    }

    fn expired(&self, at: usize) {
        let (slot, serial) = self.of[at];
        // The worker may have ended meanwhile.
        let _ = self.sender.send(Inbound::Returned { slot, serial, returned: Returned::Expired });
    }

    fn say(&mut self, ended: Ended) {
        self.is_said = true;
        let of = std::mem::take(&mut self.of);
        let _ = self.sender.send(Inbound::Together(Came { of, ended }));
    }
}

impl Drop for ReplyToAll {
    fn drop(&mut self) {
        if !self.is_said {
            self.say(Ended::Panicked("its task was dropped before it came to an end".to_owned()));
        }
    }
}
