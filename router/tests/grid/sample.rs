//! The classifier that is shipped, asked a few hundred requests that it was neither trained nor calibrated on, through the whole
//! router. Its card measures more of them; this notices when what is served is no longer what was measured.
//!
//! A sample has an error, so each figure passes when its 95 % interval reaches what is promised.

use std::{fs, path::Path, time::Duration};

use nanogrid_proto::v1::{Decision, InferRequest, RouteRequest, Verdict, infer_request::Payload};
use nanogrid_testkit::init_onnxruntime;
use serde::Deserialize;

use crate::support::*;

const EXPERTS: [&str; 14] = [
    "language",
    "intent",
    "banking",
    "command",
    "sentiment",
    "emotion",
    "entities",
    "question",
    "tech-topic",
    "spam",
    "guard",
    "toxicity",
    "pii",
    "translate-en-de",
];

const TOP_1: f64 = 0.96;
const UNSEEN: f64 = 0.75;
const AUROC: f64 = 0.95;
const ALPHA: f64 = 0.02;
const CALIBRATION: f64 = 0.015;
const SET_SIZE: f64 = 1.3;

/// One request of the sample.
#[derive(Deserialize)]
struct Sample {
    kind: String,
    text: String,
    experts: Vec<String>,
}

/// A request with what became of it.
struct Decided {
    sample: Sample,
    decision: Decision,
}

impl Decided {
    fn is_for_nobody(&self) -> bool {
        self.sample.experts == ["none"]
    }

    /// Of the kinds that the promise is about.
    fn is_promised(&self) -> bool {
        !self.is_for_nobody() && !self.sample.kind.starts_with("unseen")
    }

    fn asked(&self) -> Vec<&str> {
        let chosen = self.decision.candidates.iter().filter(|candidate| candidate.chosen);
        chosen.map(|candidate| candidate.expert.as_str()).collect()
    }

    fn is_covered(&self) -> bool {
        self.sample.experts.iter().all(|expert| self.asked().contains(&expert.as_str()))
    }

    fn out_of_scope(&self) -> f64 {
        f64::from(self.decision.out_of_scope.unwrap())
    }

    /// Its best expert, with how confident it is of that.
    fn best(&self) -> (&str, f64) {
        let best = &self.decision.candidates[0];
        (&best.expert, f64::from(best.confidence))
    }

    fn is_right(&self) -> bool {
        self.sample.experts.iter().any(|expert| expert == self.best().0)
    }
}

/// A value with its standard error.
struct Measured {
    value: f64,
    error: f64,
}

impl Measured {
    fn mean(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|each| (each - value).powi(2)).sum::<f64>() / n;
        // Of a share that is 0 or 1 in the sample, as if one row were different.
        Self { value, error: (variance.max((1.0 - 1.0 / n) / n) / n).sqrt() }
    }

    fn share<'a>(decided: impl Iterator<Item = &'a Decided>, is_it: impl Fn(&Decided) -> bool) -> Self {
        Self::mean(decided.map(|each| f64::from(u8::from(is_it(each)))))
    }

    #[track_caller]
    fn at_least(self, what: &str, promised: f64) {
        let Self { value, error } = self;
        println!("{what}: {value:.4} +- {:.4}", 1.96 * error);
        assert!(
            value + 1.96 * error >= promised,
            "{what}: {value:.4} +- {:.4}, below {promised}",
            1.96 * error
        );
    }

    #[track_caller]
    fn at_most(self, what: &str, promised: f64) {
        let Self { value, error } = self;
        println!("{what}: {value:.4} +- {:.4}", 1.96 * error);
        assert!(
            value - 1.96 * error <= promised,
            "{what}: {value:.4} +- {:.4}, above {promised}",
            1.96 * error
        );
    }
}

/// How often a request for nobody scores higher than one for somebody, with its error by Hanley and McNeil.
fn auroc(inside: &[f64], outside: &[f64]) -> Measured {
    let wins = |out: &f64| {
        inside
            .iter()
            .map(|score| {
                if out > score {
                    1.0
                } else if out == score {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    let (n_inside, n_outside) = (inside.len() as f64, outside.len() as f64);
    let value = outside.iter().map(wins).sum::<f64>() / (n_inside * n_outside);
    let (q_1, q_2) = (value / (2.0 - value), 2.0 * value * value / (1.0 + value));
    let variance = value * (1.0 - value)
        + (n_outside - 1.0) * (q_1 - value * value)
        + (n_inside - 1.0) * (q_2 - value * value);
    Measured { value, error: (variance / (n_inside * n_outside)).sqrt() }
}

async fn decided() -> Vec<Decided> {
    init_onnxruntime();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    // Nobody is asked, so nobody needs to be there.
    let entries: Vec<_> = EXPERTS.iter().map(|name| entry_at(name, vec!["127.0.0.1:1".to_owned()])).collect();
    let grid = Grid::start_with(&entries, |settings| {
        settings.classifier = Some(model.join("4"));
        settings.classify_limit = Duration::from_secs(60);
    })
    .await;
    let mut client = grid.client();
    let mut all = Vec::new();
    for line in fs::read_to_string(model.join("sample.jsonl")).unwrap().lines() {
        let sample: Sample = serde_json::from_str(line).unwrap();
        let request =
            InferRequest { payload: Some(Payload::Text(sample.text.clone())), ..InferRequest::default() };
        let route = client.route(RouteRequest { request: Some(request) }).await.unwrap().into_inner();
        let decision = route.decision.unwrap();
        assert_ne!(decision.verdict(), Verdict::Unavailable, "{}", decision.why);
        all.push(Decided { sample, decision });
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_classifier_keeps_what_its_card_promises() {
    let all = decided().await;
    assert!(all.len() >= 500, "{}", all.len());
    let promised = || all.iter().filter(|each| each.is_promised());
    let unseen = all.iter().filter(|each| each.sample.kind.starts_with("unseen"));
    let for_one = || promised().filter(|each| each.sample.experts.len() == 1);

    Measured::share(promised(), Decided::is_right).at_least("top-1", TOP_1);
    Measured::share(unseen, Decided::is_right).at_least("top-1 of unseen instructions", UNSEEN);
    let misses = Measured::share(promised(), |each| !each.is_covered());
    misses.at_most("requests that miss an expert", ALPHA + 0.01);
    Measured::mean(for_one().map(|each| each.asked().len() as f64))
        .at_most("experts asked for one", SET_SIZE);
    let too_sure = promised().map(|each| each.best().1 - f64::from(u8::from(each.is_right())));
    let Measured { value, error } = Measured::mean(too_sure);
    Measured { value: value.abs(), error }.at_most("confidence beyond accuracy", CALIBRATION);
    let inside: Vec<f64> = promised().map(Decided::out_of_scope).collect();
    let outside: Vec<f64> =
        all.iter().filter(|each| each.is_for_nobody()).map(Decided::out_of_scope).collect();
    auroc(&inside, &outside).at_least("AUROC of requests for nobody", AUROC);
}
