//! prorch's repository on an embedded SQLite database.

/// What a returned write survives.
#[derive(Debug)]
pub enum Durability {}

/// Runs in a SQLite file.
#[derive(Debug)]
pub struct SqliteRepository;
