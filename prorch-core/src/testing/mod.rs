//! For tests of your own steps and pipelines: one step alone ([`call`]), a whole pipeline in no time ([`run`]), and a
//! clock that you move ([`ManualClock`]).

mod call;
mod run;

pub use call::{Call, call};
pub use run::{Rehearsal, Rehearsed, run};

pub use crate::clock::{Clock, ManualClock};
