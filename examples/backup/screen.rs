//! What people see: a bar that moves on a terminal, plain lines anywhere else.

use std::collections::HashSet;
use std::io::{IsTerminal, Write, stdout};

use prorch::repository::{StepProgress, StepRecord, StoredRun};
use prorch::{RunId, Status};

/// Where the program speaks.
pub(crate) struct Screen {
    kind: Kind,
    said: HashSet<(RunId, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Terminal,
    Plain,
}

/// On a terminal: back to the beginning of the line, and away with what stands there.
const ERASE: &str = "\r\x1b[K";
const BAR: u64 = 30;

impl Screen {
    /// The standard output, whatever that is.
    pub(crate) fn new() -> Self {
        let kind = if stdout().is_terminal() { Kind::Terminal } else { Kind::Plain };
        Self { kind, said: HashSet::new() }
    }

    /// Says a line.
    pub(crate) fn say(&self, line: &str) {
        match self.kind {
            Kind::Terminal => print(&format!("{ERASE}{line}\n")),
            Kind::Plain => print(&format!("{line}\n")),
        }
    }

    /// Says what is new about a run since it was last shown.
    pub(crate) fn show(&mut self, stored: &StoredRun) {
        for line in self.news(stored) {
            self.say(&line);
        }
        if self.kind == Kind::Terminal {
            let bar = open_record(stored).map(bar).unwrap_or_default();
            print(&format!("{ERASE}{bar}"));
        }
    }

    /// What happened to a run before this program came to it is not told again.
    pub(crate) fn skip(&mut self, stored: &StoredRun) {
        self.news(stored);
    }

    fn news(&mut self, stored: &StoredRun) -> Vec<String> {
        let mut lines: Vec<_> = stored.records.values().filter_map(milestone).collect();
        if self.kind == Kind::Plain {
            lines.extend(open_record(stored).and_then(quarters));
        }
        lines.retain(|line| self.said.insert((stored.run.id, line.clone())));
        lines
    }
}

/// Whoever reads may have gone away: that must not cost the backup.
fn print(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn open_record(stored: &StoredRun) -> Option<&StepRecord> {
    stored.current().find(|record| !record.status.is_terminal())
}

/// What is worth a line of its own.
fn milestone(record: &StepRecord) -> Option<String> {
    match (record.status, &record.error) {
        (Status::Finished, _) => Some(format!("{}: finished", record.name)),
        (Status::Created | Status::Pending, Some(error)) if record.errors > 0 => {
            Some(format!("{}: {error}; trying again ({})", record.name, record.errors))
        }
        _ => None,
    }
}

/// How far a step has come, in steps that don't flood a log.
fn quarters(record: &StepRecord) -> Option<String> {
    let quarter = percent(record.progress?) / 25 * 25;
    (quarter > 0).then(|| format!("{}: {quarter} %", record.name))
}

fn bar(record: &StepRecord) -> String {
    let Some(progress) = record.progress else { return format!("{} …", record.name) };
    let percent = percent(progress);
    let full = usize::try_from(percent * BAR / 100).unwrap_or_default();
    let empty = usize::try_from(BAR).unwrap_or_default() - full;
    format!("{} [{}{}] {percent:3} %", record.name, "█".repeat(full), "·".repeat(empty))
}

fn percent(StepProgress { done, total }: StepProgress) -> u64 {
    (u128::from(done.min(total)) * 100).checked_div(total.into()).map_or(100, |percent| percent as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_stay_in_range() {
        let of = |done, total| percent(StepProgress { done, total });
        assert_eq!((of(0, 0), of(0, 3), of(1, 3), of(3, 3)), (100, 0, 33, 100));
        assert_eq!((of(9, 3), of(u64::MAX, u64::MAX)), (100, 100));
    }
}
