//! What a worker process logged.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Mutex;

use tracing::Level;

/// One event that a worker process logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How serious it is.
    pub level: Level,
    /// The rest of the line: spans, target, message and fields.
    pub text: String,
}

impl LogLine {
    /// Whether an operator who asked for no details sees it.
    #[must_use]
    pub fn is_above_debug(&self) -> bool {
        self.level <= Level::INFO
    }

    fn parse(line: &str) -> Option<Self> {
        let (level, text) = line.trim_start().split_once(' ')?;
        Some(Self { level: level.parse().ok()?, text: text.to_owned() })
    }
}

/// Sends what this process logs into a file.
pub(super) fn log_to(path: &Path) {
    let file = OpenOptions::new().append(true).create(true).open(path).expect("the log can be opened");
    let logging = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(Mutex::<File>::new(file));
    logging.init();
}

/// What was logged there so far. What is no event (a second line of one, say) counts as an error: nobody expects it.
pub(super) fn read(path: &Path) -> Vec<LogLine> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let odd = |line: &str| LogLine { level: Level::ERROR, text: line.to_owned() };
    whole.lines().map(|line| LogLine::parse(line).unwrap_or_else(|| odd(line))).collect()
}
