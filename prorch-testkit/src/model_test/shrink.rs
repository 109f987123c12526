//! The fewest actions that go wrong.

use super::action::Action;
use super::play::Wrong;

/// Leaves out what is not needed for something to go wrong, first many actions at once, then fewer.
pub(super) fn shrink(
    mut actions: Vec<Action>,
    mut wrong: Wrong,
    play: impl Fn(&[Action]) -> Option<Wrong>,
) -> (Vec<Action>, Wrong) {
    actions.truncate(wrong.after);
    let mut many = actions.len() / 2;
    while many > 0 {
        let mut from = 0;
        while from < actions.len() {
            let mut fewer = actions.clone();
            fewer.drain(from..(from + many).min(actions.len()));
            match play(&fewer) {
                Some(still) => {
                    fewer.truncate(still.after);
                    (actions, wrong) = (fewer, still);
                }
                None => from += many,
            }
        }
        many /= 2;
    }
    (actions, wrong)
}
