//! What the tests of files share.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use prorch_core::repository::*;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

pub(crate) fn run_id(n: u128) -> RunId {
    RunId::from_bytes(n.to_be_bytes())
}

pub(crate) fn definition() -> Definition {
    definition_key("backup", ["dump", "transfer"])
}

pub(crate) fn new_run(n: u128) -> NewRun {
    NewRun::new(run_id(n), definition(), Text::from("{}"), NOW)
}

pub(crate) fn request(limit: usize, now: Timestamp) -> ClaimRequest {
    ClaimRequest {
        definitions: Arc::from([definition()]),
        limit,
        by_age: limit / 8,
        suspect: true,
        leases: Leases::ByTime,
        holder: WorkerId::from_bytes([7; 16]),
        lease: Duration::from_secs(30),
        now,
        due_by: now,
        limits: std::sync::Arc::default(),
    }
}

pub(crate) async fn claim(repository: &impl Repository, request: ClaimRequest) -> Vec<Claim> {
    repository.turn(Arc::from([]), Some(request)).await.unwrap().claims.unwrap()
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}
