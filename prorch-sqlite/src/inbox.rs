//! Messages on their way into an inbox and out of it.

use prorch_core::repository::{Message, MessageId};
use rusqlite::{Connection, Statement, params};

use crate::error::Fault;
use crate::hot::Hot;
use crate::mail::Parts;

const ADD: &str = "INSERT INTO messages (run, id, seq, at, kind, position, child, status, name, body, sender)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (run, id) DO NOTHING";
/// The mark is kept, so that the message is recognised when it comes again; what it said is not.
const TAKE: &str =
    "UPDATE messages SET taken = 1, position = NULL, child = NULL, status = NULL, name = NULL, body = NULL, sender = NULL
    WHERE run = ?1 AND id = ?2";

pub(crate) struct Inboxes<'c> {
    add: Statement<'c>,
    take: Statement<'c>,
}

impl<'c> Inboxes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { add: connection.prepare(ADD)?, take: connection.prepare(TAKE)? })
    }

    /// Puts the message into the run's inbox, unless the run ended or knows it; what that changes of the run's columns
    /// is left to the caller to write (see `StoredRun::receive` in core, which says what is to be done).
    pub(crate) fn receive(&mut self, hot: &mut Hot, message: &Message) -> Result<(), Fault> {
        if hot.status.is_terminal() {
            return Ok(());
        }
        let seq = hot.inbox_seq + 1;
        let parts = Parts::of(&message.mail);
        let added = self.add.execute(params![
            hot.place,
            message.id.as_bytes(),
            seq.cast_signed(),
            message.at.as_micros(),
            parts.kind,
            parts.position,
            parts.child,
            parts.status,
            parts.name,
            parts.body,
            message.sender.as_deref(),
        ])?;
        if added == 0 {
            return Ok(());
        }
        hot.inbox_seq = seq;
        if hot.lease.is_some() {
            return Ok(());
        }
        hot.paused &= !message.unpauses();
        hot.permits.blocked = None;
        if message.wakes(hot.status) {
            hot.due_at = Some(hot.due_at.map_or(message.at, |due| due.min(message.at)));
        }
        Ok(())
    }

    /// Marks messages of the run as taken.
    pub(crate) fn take(&mut self, place: i64, taken: &[MessageId]) -> Result<(), Fault> {
        for id in taken {
            self.take.execute(params![place, id.as_bytes()])?;
        }
        Ok(())
    }
}
