//! For tests of your own steps and pipelines: one step alone ([`call`]; many at once, [`ask_many`]), a whole pipeline in no time ([`run`]), and a
//! clock that you move ([`ManualClock`]).

mod call;
mod many;
mod run;

pub use call::{Call, call};
pub use many::ask_many;
pub use run::{Rehearsal, Rehearsed, run};

pub use crate::clock::{Clock, ManualClock};
