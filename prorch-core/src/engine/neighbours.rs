use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Timestamp, WorkerId};
use crate::repository::{Clocks, HolderClock, HolderTime};

/// The most that a worker may be late with what others stamped.
const LATEST: Duration = Duration::from_millis(500);

/// What a worker has seen of the stamps of those that hold runs.
///
/// A lease that another one stamped can't be judged by one's own clock: that one may be an hour ahead, and would see every
/// lease run out. But a stamp that was *seen* a lease's length ago was made before, and whoever made it has not renewed
/// that lease since. So a lease is over when a stamp as late as its own was seen for so long, by our monotonic clock.
/// Nothing is concluded from how far apart two stamps are: between them the other may have gone forward by an hour.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    seen: HashMap<WorkerId, Seen>,
    /// When to look at the store for what they stamped, by the clock's `elapsed`; none when nobody holds a run.
    look_at: Option<Duration>,
    asked: bool,
}

/// The latest stamps of a worker, each with when it was seen first, by the clock's `elapsed`.
#[derive(Clone, Debug, Default)]
struct Seen {
    length: Duration,
    stamps: VecDeque<(Duration, Timestamp)>,
    /// Up to when it was told that leases are over: what could not be claimed then is not tried again without a pause.
    told: Option<Timestamp>,
}

impl Seen {
    /// Notes its latest stamp, and forgets what is older than it needs.
    fn note(&mut self, holder: &HolderClock, elapsed: Duration) {
        self.length = holder.length;
        if self.stamps.back().is_none_or(|(_, last)| *last < holder.stamped) {
            self.stamps.push_back((elapsed, holder.stamped));
        }
        while self.stamps.get(1).is_some_and(|(at, _)| *at + self.length <= elapsed) {
            self.stamps.pop_front();
        }
    }

    /// Up to when leases are over that end by then, by the holder's own time.
    fn over(&self, elapsed: Duration) -> Option<Timestamp> {
        let old = self.stamps.iter().rev().find(|(at, _)| *at + self.length <= elapsed);
        old.map(|(_, stamp)| *stamp + self.length)
    }
}

impl Neighbours {
    /// A worker that has seen nobody yet, and looks soon.
    pub(super) fn new() -> Self {
        Self { look_at: Some(Duration::ZERO), ..Self::default() }
    }

    /// When to look, as far as that is known.
    pub(super) const fn look_at(&self) -> Option<Duration> {
        if self.asked { None } else { self.look_at }
    }

    /// Whether the store should be asked now; from then on it counts as asked.
    pub(super) fn should_ask(&mut self, elapsed: Duration) -> bool {
        let ask = self.look_at().is_some_and(|at| at <= elapsed);
        if ask {
            self.asked = true;
            self.look_at = None;
        }
        ask
    }

    /// Looks soon: somebody may have taken runs.
    pub(super) const fn look_soon(&mut self) {
        self.look_at = Some(Duration::ZERO);
    }

    /// The store could not answer.
    pub(super) fn ask_again(&mut self, elapsed: Duration) {
        self.asked = false;
        self.look_at = Some(elapsed + LATEST);
    }

    /// Notes what the store has shown by now, by the clock's `elapsed`. Says whether a lease is over that was not the last
    /// time.
    ///
    /// The worker itself is one of those who hold runs: some it may have let go without a word, and its own time may have
    /// gone forward since it stamped the others.
    pub(super) fn note(&mut self, clocks: &Clocks, me: WorkerId, lease: Duration, elapsed: Duration) -> bool {
        self.asked = false;
        let (mut is_over, mut seen) = (false, HashMap::new());
        for holder in &clocks.holders {
            let mut stamps = self.seen.remove(&holder.holder).unwrap_or_default();
            stamps.note(holder, elapsed);
            let over = stamps.over(elapsed).filter(|over| holder.first_end <= *over);
            is_over |= over > stamps.told;
            stamps.told = over.max(stamps.told);
            seen.insert(holder.holder, stamps);
        }
        self.seen = seen;
        // Somebody may have come since the store was asked: then it is asked again at once.
        self.look_at = self.look_at.or(self.pause(me, lease).map(|pause| elapsed + pause));
        is_over
    }

    /// How long until the next look: what a look is late, the end of a lease is seen late.
    fn pause(&self, me: WorkerId, lease: Duration) -> Option<Duration> {
        let has_others = self.seen.keys().any(|holder| *holder != me);
        let alone = (!self.seen.is_empty()).then_some(lease / 2);
        if has_others { Some(LATEST.min(lease / 6)) } else { alone }
    }

    /// What is known to be over.
    pub(super) fn times(&self, elapsed: Duration) -> Arc<[HolderTime]> {
        let over = |(holder, seen): (&WorkerId, &Seen)| {
            seen.over(elapsed).map(|over| HolderTime { holder: *holder, over })
        };
        self.seen.iter().filter_map(over).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn id(n: u8) -> WorkerId {
        WorkerId::from_bytes([n; 16])
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0) + Duration::from_secs(seconds)
    }

    fn elapsed(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A store in which worker 2 has stamped this.
    fn stamped(stamp: Timestamp) -> Clocks {
        let mut clocks = Clocks::default();
        clocks.add(id(2), stamp + LEASE, LEASE);
        clocks
    }

    #[test]
    fn a_lease_is_over_when_it_was_seen_unchanged_for_its_length_whatever_the_clocks_say() {
        for stamp in [at(0), at(1_000_000)] {
            let mut neighbours = Neighbours::new();
            assert!(!neighbours.note(&stamped(stamp), id(1), LEASE, elapsed(100)));
            assert!(!neighbours.note(&stamped(stamp), id(1), LEASE, elapsed(129)));
            assert!(neighbours.note(&stamped(stamp), id(1), LEASE, elapsed(130)));
            assert!(!neighbours.note(&stamped(stamp), id(1), LEASE, elapsed(130)), "it is told once");
        }
    }

    #[test]
    fn a_renewal_puts_the_end_off() {
        let mut neighbours = Neighbours::new();
        for (seconds, is_over) in [(100, false), (110, false), (120, false), (149, false), (150, true)] {
            let stamp = at(seconds.min(120));
            assert_eq!(
                neighbours.note(&stamped(stamp), id(1), LEASE, elapsed(seconds)),
                is_over,
                "{seconds}"
            );
        }
    }

    #[test]
    fn who_goes_forward_by_an_hour_keeps_what_it_stamped_before() {
        let mut neighbours = Neighbours::new();
        neighbours.note(&stamped(at(0)), id(1), LEASE, elapsed(100));
        let mut both = stamped(at(3_600));
        both.add(id(2), at(0) + LEASE, LEASE);
        assert!(!neighbours.note(&both, id(1), LEASE, elapsed(110)));
        assert!(!neighbours.note(&both, id(1), LEASE, elapsed(129)));
        assert!(neighbours.note(&both, id(1), LEASE, elapsed(130)), "the first was seen a lease ago");
        let over = |seconds| neighbours.times(elapsed(seconds)).first().map(|time| time.over);
        assert_eq!(over(139), Some(at(30)));
        assert_eq!(over(140), Some(at(3_630)));
    }

    #[test]
    fn no_more_stamps_are_kept_than_are_needed() {
        let mut neighbours = Neighbours::new();
        for seconds in 0..1_000 {
            neighbours.note(&stamped(at(seconds)), id(1), LEASE, elapsed(seconds));
        }
        assert_eq!(neighbours.seen[&id(2)].stamps.len(), 31);
    }

    #[test]
    fn who_holds_runs_is_looked_at_again_and_again() {
        let mut neighbours = Neighbours::new();
        assert!(neighbours.should_ask(elapsed(1)) && !neighbours.should_ask(elapsed(2)));
        neighbours.note(&Clocks::default(), id(1), LEASE, elapsed(2));
        assert_eq!(neighbours.look_at(), None, "nobody holds a run");
        neighbours.look_soon();
        assert!(neighbours.should_ask(elapsed(2)));
        neighbours.note(&stamped(at(0)), id(2), LEASE, elapsed(2));
        assert_eq!(neighbours.look_at(), Some(elapsed(2) + LEASE / 2), "that is oneself");
        assert!(neighbours.should_ask(elapsed(20)));
        neighbours.note(&stamped(at(0)), id(1), LEASE, elapsed(30));
        assert_eq!(neighbours.look_at(), Some(elapsed(30) + LATEST));
        assert!(neighbours.should_ask(elapsed(31)));
        neighbours.look_soon();
        neighbours.note(&stamped(at(0)), id(1), LEASE, elapsed(32));
        assert_eq!(neighbours.look_at(), Some(Duration::ZERO), "it was told while the store was asked");
    }
}
