//! `nanogrid rollout start`: what is asked for, in percent and minutes, as the router takes it.

use std::time::Duration;

use clap::Args;
use nanogrid_proto::v1::{RolloutStep, StartRolloutRequest};

#[derive(Args)]
pub(super) struct Start {
    /// The expert
    expert: String,
    /// The version to try; the grid file names it, and its endpoints are ready
    version: u32,
    /// The version it is compared with; otherwise the one labelled `stable`, or the one with the most requests
    #[arg(long, value_name = "VERSION")]
    stable: Option<u32>,
    /// Its shares of the requests in percent, one after the other; with 0 it gets copies, and nobody gets its answers
    #[arg(
        long,
        value_name = "PERCENT,...",
        value_parser = basis_points,
        value_delimiter = ',',
        default_value = "0,1,5,25,50,100"
    )]
    steps: Vec<u32>,
    /// Every step takes at least so long,
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", default_value = "5m")]
    least_time: Duration,
    /// and so many requests to the new version
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    least_requests: u64,
    /// The highest probability that a version as good as the old one is taken back
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.01)]
    alpha: f64,
    /// Percent of the answers that may differ from the old version's
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    disagreement: f64,
    /// An answer is slow when it takes longer than so many times the old version's 95th percentile; more for a larger model
    #[arg(long, value_name = "TIMES", default_value_t = 1.1)]
    slow_from: f64,
}

impl From<Start> for StartRolloutRequest {
    fn from(start: Start) -> Self {
        let Start {
            expert,
            version,
            stable,
            steps,
            least_time,
            least_requests,
            alpha,
            disagreement,
            slow_from,
        } = start;
        let least_time = prost_types::Duration::try_from(least_time).ok();
        Self {
            expert,
            canary: version.to_string(),
            stable: stable.map_or_else(String::new, |stable| stable.to_string()),
            steps: steps
                .into_iter()
                .map(|weight| RolloutStep { weight, least_time, least_requests })
                .collect(),
            alpha,
            disagreement: Some(disagreement / 100.0),
            slow_from: Some(slow_from),
        }
    }
}

/// `12.5` percent is 1250. The router says which steps make sense together.
fn basis_points(text: &str) -> Result<u32, String> {
    let wrong = || format!("must be percent from 0 to 100 with two decimals at most: `{text}`");
    let points = text.trim().parse::<f64>().map_err(|_| wrong())? * 100.0;
    let whole = points.round();
    // 0.07 * 100 is not 7 to the last bit.
    if (0.0..=10_000.0).contains(&whole) && (points - whole).abs() < 1e-6 {
        Ok(whole as u32)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use nanogrid_rollout::Plan;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    fn request(line: &str) -> Result<StartRolloutRequest, clap::Error> {
        let words = ["start"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.start.into())
    }

    #[test]
    fn what_nobody_says_is_the_usual_plan() {
        let usual = Plan::usual(String::new(), "intent".to_owned(), 1, 2);
        let request = request("intent 2").expect("a good line");
        assert_eq!((request.canary.as_str(), request.stable.as_str()), ("2", ""));
        assert_eq!((request.alpha, request.disagreement), (usual.alpha, Some(usual.margins.disagreement)));
        assert_eq!(request.slow_from, Some(usual.slow_from));
        let steps: Vec<_> = request.steps.iter().map(|step| (step.weight, step.least_requests)).collect();
        let usual_steps: Vec<_> = usual.steps.iter().map(|step| (step.weight, step.least_requests)).collect();
        assert_eq!(steps, usual_steps);
        let least_time = request.steps[0].least_time.and_then(|time| Duration::try_from(time).ok());
        assert_eq!(least_time, Some(usual.steps[0].least_time));
    }

    #[test]
    fn shares_are_percent() {
        let weights = |line: &str| -> Option<Vec<u32>> {
            Some(request(line).ok()?.steps.iter().map(|step| step.weight).collect())
        };
        assert_eq!(weights("intent 2 --steps 0.07,12.5,100"), Some(vec![7, 1_250, 10_000]));
        for wrong in ["101", "-1", "0.001", "NaN", "", "1,,2", "five"] {
            assert_eq!(weights(&format!("intent 2 --steps={wrong}")), None, "{wrong}");
        }
    }
}
