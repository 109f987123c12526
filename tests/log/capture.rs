//! A subscriber that keeps what is told, of all tests of this file together.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// An event, or a span.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) level: Level,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<String, String>,
    /// The fields of the spans in which it was told, the innermost last.
    pub(crate) within: Vec<BTreeMap<String, String>>,
}

impl Told {
    /// Whether any of its fields has this in it.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.fields.values().any(|value| value.contains(text))
    }
}

#[derive(Default)]
struct Capture {
    told: Mutex<Vec<Told>>,
    spans: Mutex<HashMap<u64, BTreeMap<String, String>>>,
    last: AtomicU64,
}

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Capture {
    fn note(&self, metadata: &Metadata<'_>, fields: BTreeMap<String, String>) {
        let spans = self.spans.lock().unwrap();
        let within = ENTERED.with_borrow(|entered| entered.iter().map(|id| spans[id].clone()).collect());
        let told = Told { level: *metadata.level(), name: metadata.name(), fields, within };
        self.told.lock().unwrap().push(told);
    }
}

/// Of one for all, because a subscriber is one for all.
struct Shared(&'static Capture);

impl Subscriber for Shared {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("mio")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::new();
        span.record(&mut Fields(&mut fields));
        self.0.note(span.metadata(), fields.clone());
        let id = self.0.last.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.spans.lock().unwrap().insert(id, fields);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.0.spans.lock().unwrap();
        values.record(&mut Fields(spans.get_mut(&span.into_u64()).unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.0.note(event.metadata(), fields);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.retain(|id| *id != span.into_u64()));
    }
}

/// Begins to keep what is told, if that was not begun.
pub(crate) fn listen() {
    capture();
}

/// What was told so far that `wanted` picks.
pub(crate) fn told(wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
    let told = capture().told.lock().unwrap();
    told.iter().filter(|told| wanted(told)).cloned().collect()
}

fn capture() -> &'static Capture {
    static CAPTURE: OnceLock<&'static Capture> = OnceLock::new();
    CAPTURE.get_or_init(|| {
        let capture: &Capture = Box::leak(Box::default());
        tracing::subscriber::set_global_default(Shared(capture)).unwrap();
        capture
    })
}
