//! Messages as rows.

use prorch_core::repository::{Mail, Message, MessageId, RunId};
use rusqlite::Row;

use crate::codes::status_code;
use crate::columns::Columns;
use crate::error::Fault;

/// The columns of [`message`], in its order.
macro_rules! message_columns {
    () => {
        "id, seq, at, kind, position, child, status, name, body, sender"
    };
}
pub(crate) use message_columns;

/// What a message says, as columns. One that was taken keeps only its kind.
#[derive(Default)]
pub(crate) struct Parts<'m> {
    pub(crate) kind: i64,
    pub(crate) position: Option<i64>,
    pub(crate) child: Option<&'m [u8; 16]>,
    pub(crate) status: Option<i64>,
    pub(crate) name: Option<&'m str>,
    pub(crate) body: Option<&'m str>,
}

impl<'m> Parts<'m> {
    pub(crate) fn of(mail: &'m Mail) -> Self {
        match mail {
            Mail::Signal { name, payload } => {
                Self { kind: 0, name: Some(name), body: Some(payload), ..Self::default() }
            }
            Mail::Cancel { reason } => Self { kind: 1, body: Some(reason), ..Self::default() },
            Mail::Pause => Self { kind: 2, ..Self::default() },
            Mail::Resume => Self { kind: 3, ..Self::default() },
            Mail::Ended { position, child, status, reason } => Self {
                kind: 4,
                position: Some(i64::from(*position)),
                child: Some(child.as_bytes()),
                status: Some(status_code(*status)),
                name: None,
                body: reason.as_deref(),
            },
        }
    }
}

/// The message in a row of [`message_columns`], which was not taken.
pub(crate) fn message(row: &Row<'_>) -> Result<Message, Fault> {
    let mut columns = Columns::new("messages", row);
    let id = MessageId::from_bytes(columns.take()?);
    let seq = columns.bits()?;
    let at = columns.time()?;
    let mail = mail(&mut columns)?;
    let sender = columns.maybe_text()?;
    Ok(Message { id, seq, at, mail, sender })
}

fn mail(columns: &mut Columns<'_>) -> Result<Mail, Fault> {
    let kind = columns.take::<i64>()?;
    if !(0..=4).contains(&kind) {
        return Err(columns.unreadable(&format_args!("{kind} is no kind of message")));
    }
    if kind == 4 {
        let position = columns.position()?;
        let child = RunId::from_bytes(columns.take()?);
        let status = columns.status()?;
        columns.skip(1);
        return Ok(Mail::Ended { position, child, status, reason: columns.maybe_text()? });
    }
    columns.skip(3);
    let name = columns.maybe_text()?.unwrap_or_default();
    let body = columns.maybe_text()?.unwrap_or_default();
    Ok(match kind {
        0 => Mail::Signal { name, payload: body },
        1 => Mail::Cancel { reason: body },
        2 => Mail::Pause,
        _ => Mail::Resume,
    })
}
