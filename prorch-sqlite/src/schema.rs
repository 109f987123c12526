//! The tables, as numbered migrations.

use rusqlite::Connection;

/// The number of the newest schema that this version knows.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Marks a file as one of prorch's: the letters `pror`.
pub(crate) const APPLICATION: i64 = 0x7072_6f72;

/// Each takes a file from its place in the list to the next. One that was released never changes again.
const MIGRATIONS: [&str; 1] = [FOUNDATION];

/// The comments are kept in the file, for whoever opens it by hand. SQLite can't widen a CHECK in place: which numbers a
/// kind may have, of a cause or a message, is left to the program.
const FOUNDATION: &str = "
CREATE TABLE pipelines (
    pipeline INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE definitions (
    definition INTEGER PRIMARY KEY,
    pipeline INTEGER NOT NULL REFERENCES pipelines (pipeline),
    fingerprint INTEGER NOT NULL, -- 64 bits, read as a number with a sign
    list TEXT NOT NULL, -- the steps, as JSON; empty where they are not known
    UNIQUE (pipeline, fingerprint)
) STRICT;

-- Times are microseconds since 1970 in UTC; payloads are JSON. Columns that change often come first, long ones last.
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- a UUID v7
    definition INTEGER NOT NULL,
    pipeline INTEGER NOT NULL, -- the definition's; beside it for the uniqueness of keys
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4), -- created, pending, finished, failed, cancelled
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    sealed INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1)), -- it is being removed
    crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    epoch INTEGER NOT NULL DEFAULT 0,
    holder BLOB CHECK (length(holder) = 16),
    lease_length INTEGER CHECK (lease_length >= 0),
    due_at INTEGER, -- while it is held: when the lease ends
    inbox_seq INTEGER NOT NULL DEFAULT 0 CHECK (inbox_seq >= 0),
    -- How it stands in a stage with several members: which stage, how many it has (if that is known), how many were come
    -- to, how many have finished, and below which all have.
    fan_stage INTEGER,
    fan_width INTEGER,
    fan_entered INTEGER,
    fan_finished INTEGER,
    fan_low INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    parent BLOB CHECK (length(parent) = 16), -- the id of the run that started it
    parent_position INTEGER CHECK (parent_position >= 0), -- the record of that run
    origin BLOB CHECK (length(origin) = 16), -- the id of the run that it was restarted from
    origin_step TEXT, -- the step that it began at
    key TEXT CHECK (length(CAST(key AS BLOB)) BETWEEN 1 AND 256),
    stuck TEXT,
    cause_kind INTEGER CHECK (cause_kind >= 0), -- error, deadline, crash, refused, cancelled, child; 7: undo, in doubt
    cause_step TEXT,
    cause TEXT,
    metadata TEXT,
    input TEXT, -- none when it is long: then it is in `inputs`
    output TEXT,
    undo TEXT, -- how far it is with undoing what its steps have done, as JSON
    starts TEXT, -- the rate of the step that its next call starts
    spared TEXT, -- limits that a run above it counts under, as JSON
    holds TEXT, -- the limit under which it counts as running
    calling TEXT, -- the limit under which it counts as held
    blocked TEXT, -- the limit that it waits for
    -- Which queue the run stands in: 0, or 1 for those suspect of killing their workers; none while nothing is due.
    -- Who claims a run that is still held takes it as cut off once more.
    lane INTEGER GENERATED ALWAYS AS
        (CASE WHEN due_at IS NULL OR paused <> 0 OR blocked IS NOT NULL THEN NULL ELSE crashes + (holder IS NOT NULL) >= 2 END) VIRTUAL,
    CHECK ((holder IS NULL) = (lease_length IS NULL)),
    CHECK (holder IS NULL OR due_at IS NOT NULL),
    CHECK (status < 2 OR (holder IS NULL AND due_at IS NULL)),
    CHECK (status >= 2 OR sealed = 0),
    CHECK ((cause_kind IS NULL) = (cause IS NULL)),
    CHECK ((parent IS NULL) = (parent_position IS NULL)),
    CHECK ((origin IS NULL) = (origin_step IS NULL)),
    CHECK (CASE WHEN fan_stage IS NULL THEN coalesce(fan_width, fan_entered, fan_finished, fan_low) IS NULL
        ELSE fan_stage >= 0 AND ifnull(0 <= fan_low AND fan_low <= fan_finished AND fan_finished <= fan_entered
            AND fan_entered <= ifnull(fan_width, 4294967295), 0) END)
) STRICT;

-- SQLite writes a row whole, and a run's row is written often: long inputs are kept apart.
CREATE TABLE inputs (
    run INTEGER PRIMARY KEY,
    input TEXT NOT NULL
) STRICT;

CREATE INDEX runs_origin ON runs (origin) WHERE origin IS NOT NULL;
CREATE INDEX runs_parent ON runs (parent, id) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX runs_key ON runs (pipeline, key) WHERE key IS NOT NULL;

-- Every run that is not ended is in exactly one of the next two.
CREATE INDEX runs_due ON runs (definition, lane, priority, lease_length, due_at) WHERE lane IS NOT NULL;
CREATE INDEX runs_resting ON runs (definition) WHERE status < 2 AND lane IS NULL;
-- Those that wait for a limit are not in the first one; so they are found when there is room.
CREATE INDEX runs_blocked ON runs (blocked, priority, due_at) WHERE blocked IS NOT NULL AND paused = 0;

-- What is to be removed, of those that no other run started.
CREATE INDEX runs_ended ON runs (pipeline, status, ended_at) WHERE ended_at IS NOT NULL AND parent IS NULL;
CREATE INDEX runs_sealed ON runs (sealed) WHERE sealed = 1;

-- What is taken of each limit.
CREATE TABLE gates (
    gate TEXT PRIMARY KEY,
    taken INTEGER NOT NULL CHECK (taken >= 0), -- how many runs count under it
    most INTEGER NOT NULL CHECK (most >= 0), -- how many may, as the last claim said
    expected INTEGER, -- when the next start of a step is expected that has a rate
    opens_at INTEGER -- when it lets one through
) STRICT, WITHOUT ROWID;

-- The latest time, to a second, that anybody wrote: what time it is by the clock that is furthest ahead.
CREATE TABLE clock (
    clock INTEGER PRIMARY KEY CHECK (clock = 1),
    newest INTEGER
) STRICT;
INSERT INTO clock VALUES (1, NULL);

CREATE TABLE records (
    run INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0), -- the stage in the upper 32 bits, the item in the lower
    name TEXT NOT NULL,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),
    resumable INTEGER NOT NULL CHECK (resumable IN (0, 1)),
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    errors INTEGER NOT NULL CHECK (errors >= 0),
    state TEXT,
    output TEXT,
    error TEXT,
    due_at INTEGER,
    awaits TEXT,
    done INTEGER,
    total INTEGER,
    metadata TEXT,
    child BLOB CHECK (length(child) = 16), -- the id of the run that the record started
    generation INTEGER CHECK (generation >= 0),
    entered_at INTEGER NOT NULL,
    ended_at INTEGER,
    intent INTEGER, -- when it was about to be called, where that is done at most once and its answer is not known
    undo TEXT, -- how far its undoing is, as JSON
    PRIMARY KEY (run, position),
    CHECK ((done IS NULL) = (total IS NULL)),
    CHECK ((child IS NULL) = (generation IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    run INTEGER NOT NULL,
    id BLOB NOT NULL CHECK (length(id) = 16),
    seq INTEGER NOT NULL CHECK (seq > 0),
    at INTEGER NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0 CHECK (taken IN (0, 1)), -- the mark stays, what it says goes
    kind INTEGER NOT NULL CHECK (kind >= 0), -- signal, cancel, pause, resume, ended
    position INTEGER CHECK (position >= 0), -- the record whose run ended
    child BLOB CHECK (length(child) = 16), -- the id of that run
    status INTEGER CHECK (status BETWEEN 0 AND 4), -- how it ended
    name TEXT,
    body TEXT,
    sender TEXT,
    PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;

-- What happened to runs; what their rows and records say anyhow is not here.
CREATE TABLE history (
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0), -- of what is missing in between there was too much to keep
    entry TEXT NOT NULL, -- JSON
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX messages_waiting ON messages (run, seq) WHERE taken = 0;
";

/// Takes the file from schema number `from` to the newest. The caller holds the write lock.
pub(crate) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        connection.execute_batch(migration)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)
}
