//! What the pipelines look like whose runs are tried, for the oracle.

use super::step::Handed;

/// Which pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    One,
    Two,
    Three,
    Four,
    /// A step, two side by side, a step.
    Grouped,
    /// A step for each item of a list.
    Listed,
    /// A run between two steps.
    Parent,
    /// A run for each item of a list.
    Spread,
    /// A step and a run side by side.
    Mixed,
    /// A run that starts runs.
    Deep,
}

/// A stage of a pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    One(Node),
    Group([Node; 2]),
    /// So many at a time.
    Each(Node, usize),
}

/// What a member of a stage is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    /// The step with this number.
    Step(usize),
    Run(Shape),
}

/// The step that hands on a list.
pub(super) const LISTS: usize = 4;

impl Shape {
    pub(super) const ALL: [Self; 10] = [
        Self::One,
        Self::Two,
        Self::Three,
        Self::Four,
        Self::Grouped,
        Self::Listed,
        Self::Parent,
        Self::Spread,
        Self::Mixed,
        Self::Deep,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Three => "three",
            Self::Four => "four",
            Self::Grouped => "grouped",
            Self::Listed => "listed",
            Self::Parent => "parent",
            Self::Spread => "spread",
            Self::Mixed => "mixed",
            Self::Deep => "deep",
        }
    }

    /// The pipeline with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// Whether its steps stand one after the other.
    pub(super) fn is_line(self) -> bool {
        self.forms().iter().all(|form| matches!(form, Form::One(Node::Step(_))))
    }

    pub(super) const fn forms(self) -> &'static [Form] {
        use Form::{Each, Group, One};
        use Node::{Run, Step};
        const LINE: [Form; 4] = [One(Step(0)), One(Step(1)), One(Step(2)), One(Step(3))];
        match self {
            Self::One => LINE.split_at(1).0,
            Self::Two => LINE.split_at(2).0,
            Self::Three => LINE.split_at(3).0,
            Self::Four => &LINE,
            Self::Grouped => &[One(Step(0)), Group([Step(1), Step(2)]), One(Step(3))],
            Self::Listed => &[One(Step(LISTS)), Each(Step(1), 2), One(Step(2))],
            Self::Parent => &[One(Step(0)), One(Run(Self::Two)), One(Step(1))],
            Self::Spread => &[One(Step(LISTS)), Each(Run(Self::Two), 2), One(Step(3))],
            Self::Mixed => &[Group([Step(0), Run(Self::One)]), One(Step(2))],
            Self::Deep => &[One(Run(Self::Spread))],
        }
    }
}

impl Form {
    /// What its members are, and what each gets.
    pub(super) fn members(self, given: &Handed) -> Vec<(Node, Handed)> {
        match self {
            Self::One(node) => vec![(node, given.clone())],
            Self::Group(nodes) => nodes.map(|node| (node, given.clone())).into(),
            Self::Each(node, _) => given.items().into_iter().map(|item| (node, item)).collect(),
        }
    }

    /// What it hands on together.
    pub(super) fn hands_on(self, outputs: Vec<Handed>) -> Handed {
        match (self, <[Handed; 1]>::try_from(outputs)) {
            (Self::One(_), Ok([output])) => output,
            (_, Ok([output])) => Handed::from(vec![output]),
            (_, Err(outputs)) => Handed::from(outputs),
        }
    }

    pub(super) const fn side_by_side(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Group(nodes) => nodes.len(),
            Self::Each(_, concurrency) => concurrency,
        }
    }
}
