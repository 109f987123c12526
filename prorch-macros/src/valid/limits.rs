//! What may be written about limits.

use std::time::Duration;

use syn::{Error, LitInt, LitStr, Result};

use super::{MAX_NAME, storable};
use crate::ast::{CapOption, RateOption};

/// A good rate of a step: so many starts in each period, so many of them at once.
pub(crate) struct GoodRate {
    pub(crate) count: u32,
    pub(crate) period: Duration,
    pub(crate) burst: u32,
}

/// A good limit of a pipeline.
pub(crate) struct GoodCap {
    pub(crate) most: u32,
    pub(crate) per: Option<String>,
}

pub(super) fn rate(written: &RateOption) -> Result<GoodRate> {
    let text = &written.rate;
    let form = "a rate is a number of starts in a second, a minute, an hour or a day: `10/s`, `100/m`, `5/h` or `1/d`";
    let value = text.value();
    let parts = value
        .split_once('/')
        .and_then(|(count, unit)| Some((count.trim().parse().ok()?, period(unit.trim())?)));
    let (count, period) =
        parts.filter(|(count, _)| *count > 0).ok_or_else(|| Error::new(text.span(), form))?;
    let burst = written.burst.as_ref().map_or(Ok(1), |burst| {
        number(burst, "`burst` is how many starts there may be at once after a pause: a number from 1 on")
    })?;
    Ok(GoodRate { count, period, burst })
}

fn period(unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

pub(super) fn cap(written: &CapOption) -> Result<GoodCap> {
    let what = match written.name {
        "max_running" => "`max_running` is how many runs may have begun and not ended",
        _ => "`max_calls` is how many runs may be worked on at a time",
    };
    let most = number(&written.most, &format!("{what}: a number from 1 on"))?;
    Ok(GoodCap { most, per: written.per.as_ref().map(metadata_name).transpose()? })
}

fn metadata_name(name: &LitStr) -> Result<String> {
    if name.value().is_empty() {
        let text = "`per` is the name of a value that is pinned to each run, by `.metadata(\"tenant\", …)` where it is \
                    started: write `per = \"tenant\"`, say";
        return Err(Error::new(name.span(), text));
    }
    storable(name, MAX_NAME)
}

fn number(written: &LitInt, text: &str) -> Result<u32> {
    written.base10_parse().ok().filter(|number| *number > 0).ok_or_else(|| Error::new(written.span(), text))
}
