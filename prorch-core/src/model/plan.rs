use super::{Definition, Position, StepPolicy, Text};

/// A pipeline as the state machine sees it: names and policies, without code.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What runs of it are stored under.
    pub definition: Definition,
    /// Its stages, in order; each is one step.
    pub stages: Vec<StepPlan>,
}

/// A step as the state machine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// The name of its records.
    pub name: Text,
    /// What the engine owes it.
    pub policy: StepPolicy,
}

impl Plan {
    /// The step at `position`, if the pipeline has one there.
    #[must_use]
    pub fn step(&self, position: Position) -> Option<&StepPlan> {
        self.stages.get(position.stage as usize).filter(|_| position.item == 0)
    }

    /// The position after `position`; none after the last.
    #[must_use]
    pub fn after(&self, position: Position) -> Option<Position> {
        let next = Position::of_stage(position.stage + 1);
        self.step(next).map(|_| next)
    }
}

/// What runs of a pipeline with this name and these steps are stored under. The fingerprint is the 64-bit FNV-1a hash
/// (Fowler, Noll, Vo) of the steps' names, each ended by a zero byte: it stays the same from build to build.
#[must_use]
pub fn definition_key<'a>(pipeline: &str, steps: impl IntoIterator<Item = &'a str>) -> Definition {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for name in steps {
        for byte in name.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Definition { pipeline: Text::from(pipeline), fingerprint: hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_lists_apart_and_is_the_same_tomorrow() {
        let key = definition_key("p", ["a", "b"]);
        assert_ne!(key, definition_key("p", ["ab"]));
        assert_ne!(key, definition_key("p", ["b", "a"]));
        assert_eq!(key.fingerprint, 0xab40_d782_0d40_8076);
    }
}
