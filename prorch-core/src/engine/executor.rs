use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::slots::SlotId;
use super::wake::Inbound;
use crate::clock::Clock;
use crate::repository::BoxFuture;
use crate::step::Reply;

/// What came of a call, seen from outside.
#[derive(Debug)]
pub(super) enum Returned {
    /// It came to its end.
    Reply(Reply),
    /// It took longer than its timeout.
    TimedOut(Duration),
    /// The step's deadline passed meanwhile.
    Expired,
    /// It panicked, with these words.
    Panicked(String),
}

/// A call that is to be made.
pub(super) struct Job {
    pub(super) call: Box<dyn FnOnce() -> BoxFuture<'static, Reply> + Send>,
    pub(super) is_blocking: bool,
    pub(super) limit: Limit,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reply: ReplyTo,
    pub(super) span: tracing::Span,
}

/// Makes a call and says what came of it, whatever the user's code does.
pub(super) async fn execute(job: Job) {
    let Job { call, is_blocking, limit, clock, reply, span } = job;
    let returned = if is_blocking {
        on_blocking_pool(call, &*clock, limit, span).await
    } else {
        within(Guarded::new(call), &*clock, limit).instrument(span).await
    };
    reply.send(returned);
}

/// The longest that a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    timeout: Duration,
    deadline: Option<Duration>,
}

impl Limit {
    /// A timeout, and how far the step's deadline is away.
    pub(super) const fn new(timeout: Duration, deadline: Option<Duration>) -> Self {
        Self { timeout, deadline }
    }

    /// The longest that one call may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How far the step's deadline is away, if it comes before the call takes too long.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline.filter(|deadline| *deadline <= self.timeout)
    }

    fn longest(&self) -> Duration {
        self.deadline.map_or(self.timeout, |deadline| deadline.min(self.timeout))
    }

    fn passed(&self) -> Returned {
        match self.deadline {
            Some(deadline) if deadline <= self.timeout => Returned::Expired,
            _ => Returned::TimedOut(self.timeout),
        }
    }
}

/// The call's answer, or that it took too long: then its future is dropped.
async fn within(mut call: Guarded<Reply>, clock: &dyn Clock, limit: Limit) -> Returned {
    let mut sleep = None;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut call).poll(cx) {
            return Poll::Ready(Returned::from(ended));
        }
        // Most calls are over at their first poll, and need no timer.
        let sleep = sleep.get_or_insert_with(|| clock.sleep(limit.longest()));
        sleep.as_mut().poll(cx).map(|()| limit.passed())
    })
    .await
}

/// The same for a call that blocks its thread. Such a call can't be dropped: when it takes too long, that is its
/// outcome, but it is said only when the thread has come back, so that the retry never runs beside it.
async fn on_blocking_pool(
    call: Box<dyn FnOnce() -> BoxFuture<'static, Reply> + Send>,
    clock: &dyn Clock,
    limit: Limit,
    span: tracing::Span,
) -> Returned {
    let runtime = Handle::current();
    let entered = span.clone();
    let mut thread = tokio::task::spawn_blocking(move || {
        let _entered = entered.enter();
        runtime.block_on(Guarded::new(call))
    });
    let mut sleep = clock.sleep(limit.longest());
    let in_time = poll_fn(|cx| match Pin::new(&mut thread).poll(cx) {
        Poll::Ready(joined) => Poll::Ready(Some(joined)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await;
    if let Some(joined) = in_time {
        return joined.map_or_else(|error| Returned::Panicked(error.to_string()), Returned::from);
    }
    span.in_scope(|| tracing::warn!("a blocking call has taken longer than it may; waiting for its thread"));
    // Whatever it answers now comes too late.
    let _ = thread.await;
    limit.passed()
}

impl From<Result<Reply, String>> for Returned {
    /// What a guarded call came to.
    fn from(ended: Result<Reply, String>) -> Self {
        ended.map_or_else(Self::Panicked, Self::Reply)
    }
}

/// The call of a step, before it begins.
type Start<T> = Box<dyn FnOnce() -> BoxFuture<'static, T> + Send>;

/// A call whose panics, also those of its drop, become a value: their words.
pub(super) struct Guarded<T> {
    start: Option<Start<T>>,
    future: Option<BoxFuture<'static, T>>,
}

impl<T> Guarded<T> {
    pub(super) fn new(start: Start<T>) -> Self {
        Self { start: Some(start), future: None }
    }

    /// Drops what is left of the call. What its drop says is taken for the answer only when there is none yet.
    fn clear(&mut self) -> Result<(), String> {
        let (start, future) = (self.start.take(), self.future.take());
        guarded(|| drop((start, future)))
    }
}

impl<T> Future for Guarded<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = guarded(|| {
            if let Some(start) = this.start.take() {
                this.future = Some(start());
            }
            this.future.as_mut().map_or(Poll::Pending, |future| future.as_mut().poll(cx))
        });
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(panic) => Err(panic),
        };
        if let Err(panic) = this.clear() {
            tracing::warn!(%panic, "a step panicked while its call was dropped; its answer counts");
        }
        Poll::Ready(ended)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Err(panic) = self.clear() {
            tracing::warn!(%panic, "a step panicked while its call was dropped");
        }
    }
}

/// What this comes to, or the words of its panic.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(words)
}

/// What a panic said.
pub(super) fn words(panic: Box<dyn Any + Send>) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    // The value may itself panic when it is dropped, and what it panics with may too: that is not tried.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    words
}

/// Where a call's answer goes. If the task ends without one (its runtime shuts down, say), that is said.
pub(super) struct ReplyTo {
    slot: SlotId,
    serial: u64,
    sender: Option<mpsc::UnboundedSender<Inbound>>,
}

impl ReplyTo {
    pub(super) const fn new(slot: SlotId, serial: u64, sender: mpsc::UnboundedSender<Inbound>) -> Self {
        Self { slot, serial, sender: Some(sender) }
    }

    fn send(mut self, returned: Returned) {
        self.say(returned);
    }

    fn say(&mut self, returned: Returned) {
        if let Some(sender) = self.sender.take() {
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Returned { slot: self.slot, serial: self.serial, returned });
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.say(Returned::Panicked("its task was dropped before it came to an end".to_owned()));
    }
}
