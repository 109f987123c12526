//! Steps are found wherever they stand: in other modules, in functions, twice, under another name, and under the name
//! of a crate.
#![deny(warnings)]

use prorch::prelude::*;

mod steps {
    use prorch::prelude::*;

    #[step]
    pub async fn notify(number: u64) -> StepResult<u64> {
        finish(number)
    }

    pub mod more {
        use prorch::prelude::*;

        #[step(name = "notify more")]
        pub async fn notify(number: u64) -> StepResult<u64> {
            finish(number)
        }

        #[pipeline(steps = [super::notify, self::notify, crate::outer, notify])]
        pub struct Inner;
    }
}

use steps::*;

#[step]
async fn outer(number: u64) -> StepResult<u64> {
    finish(number)
}

#[step]
async fn serde(number: u64) -> StepResult<u64> {
    finish(number)
}

macro_rules! local {
    ($step:ident, $($path:tt)*) => {
        #[step]
        async fn $step(number: u64) -> StepResult<u64> {
            finish(number)
        }

        #[pipeline(steps = [$step, $($path)*, $crate::outer])]
        struct Local;
    };
}

mod by_macro {
    use prorch::prelude::*;

    local!(made, super::serde);

    pub fn names() -> Vec<String> {
        Local::definition().step_names().iter().map(ToString::to_string).collect()
    }
}

fn main() {
    #[step]
    async fn inner(number: u64) -> StepResult<u64> {
        finish(number)
    }
    use steps::more::notify as other;

    #[pipeline(steps = [inner, outer, notify, other, inner, serde])]
    struct Here;

    assert_eq!(Here::definition().step_names(), ["inner", "outer", "notify", "notify more", "inner#2", "serde"]);
    assert_eq!(by_macro::names(), ["made", "serde", "outer"]);
    assert_eq!(more::Inner::definition().step_names(), ["notify", "notify more", "outer", "notify more#2"]);
}
