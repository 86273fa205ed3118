//! Faults as operators write them, checked: a fault that meets other calls than it was meant for is an outage.

use std::{collections::HashMap, time::Duration};

use nanogrid_proto::v1;
use tokio::time::Instant;
use tonic::Code;

use crate::{
    catalog::Grid,
    error::Error,
    fault::{Fault, Then},
};

/// The longest delay and life: a day. What is meant to stay longer is not to be forgotten.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Of one expert's faults together, beyond what adding percents loses.
const WHOLE: f64 = 100.0 + 1e-6;

/// Checked one by one, and together.
pub(super) fn inward(faults: Vec<v1::Fault>, grid: &Grid, now: Instant) -> Result<Vec<Fault>, Error> {
    let mut percents: HashMap<String, f64> = HashMap::new();
    for v1::Fault { expert, share, .. } in &faults {
        let sum = percents.entry(expert.clone()).or_default();
        *sum += share;
        if *sum > WHOLE {
            let reason = format!("must sum to at most 100 percent for each expert, `{expert}` has {sum}");
            return Err(Error::invalid("faults.share", reason));
        }
    }
    faults.into_iter().map(|fault| one(fault, grid, now)).collect()
}

fn one(fault: v1::Fault, grid: &Grid, now: Instant) -> Result<Fault, Error> {
    let v1::Fault { expert, share, delay, code, drop, lasts } = fault;
    // A share that is no number is not above 0 either.
    if !(share > 0.0 && share <= 100.0) {
        return Err(Error::invalid("faults.share", format!("must be above 0 and at most 100: {share}")));
    }
    let code = match code {
        0 => None,
        // A code that does not exist becomes UNKNOWN in `from_i32`.
        1..=16 => Some(Code::from_i32(code)),
        _ => return Err(Error::invalid("faults.code", format!("must be a gRPC status, 1 to 16: {code}"))),
    };
    let delay = delay.map(|delay| duration("faults.delay", delay)).transpose()?.unwrap_or_default();
    let then = match (code, drop) {
        (None, false) if delay.is_zero() => {
            return Err(Error::invalid("faults", "must have one of `delay`, `code` and `drop`"));
        }
        (None, false) => Then::Send,
        (Some(code), false) => Then::Fail(code),
        (None, true) => Then::Hang,
        (Some(_), true) => {
            return Err(Error::invalid("faults.drop", "must be false beside `code`: a call ends in one way"));
        }
    };
    let until = lasts.map(|lasts| duration("faults.lasts", lasts)).transpose()?;
    if until == Some(Duration::ZERO) {
        return Err(Error::invalid("faults.lasts", "must be more than nothing"));
    }
    Ok(Fault {
        expert: grid.expert(&expert)?.name.clone(),
        share: share / 100.0,
        delay,
        then,
        until: until.map(|lasts| now + lasts),
    })
}

/// `lasts` is the time left at `now`.
pub(super) fn outward(fault: Fault, now: Instant) -> v1::Fault {
    let Fault { expert, share, delay, then, until } = fault;
    let (code, drop) = match then {
        Then::Send => (0, false),
        Then::Fail(code) => (code as i32, false),
        Then::Hang => (0, true),
    };
    v1::Fault {
        expert: expert.to_string(),
        share: share * 100.0,
        // Checked on the way in, a duration fits into its message.
        delay: (!delay.is_zero()).then(|| delay.try_into().ok()).flatten(),
        code,
        drop,
        lasts: until.and_then(|until| until.saturating_duration_since(now).try_into().ok()),
    }
}

fn duration(field: &str, duration: prost_types::Duration) -> Result<Duration, Error> {
    let wrong =
        || Error::invalid(field, format!("must not be negative, nor longer than {LONGEST:?}: {duration}"));
    Duration::try_from(duration).ok().filter(|duration| *duration <= LONGEST).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
