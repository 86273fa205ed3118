use std::time::Duration;

use nanogrid_onnx::{Model, Package, Ranking, RunError, Text};
use nanogrid_testkit::{graphs::WEIGHT, packages};
use tempfile::{TempDir, tempdir};
use tokio::time::Instant;

use crate::load;

struct Words {
    _dir: TempDir,
    text: Text,
    model: Model,
    ranking: Ranking,
}

impl Words {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let package =
            Package::open(&packages::text_classifier(dir.path(), "words", &["alpha", "beta"])).unwrap();
        let model = load(&package).unwrap();
        Self { _dir: dir, text: Text::load(&package).unwrap(), model, ranking: Ranking::new(&package) }
    }

    async fn ask(&self, texts: &[&str], deadline: Option<Instant>) -> Result<Vec<Vec<f32>>, RunError> {
        let rows = texts.iter().map(|text| self.text.encode(text)).collect::<Result<_, _>>()?;
        self.model.run_text(rows, deadline).await.map(|run| run.logits)
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(50))
}

#[tokio::test]
async fn texts_become_labels() {
    let words = Words::new();
    let logits = words.ask(&["alpha beta alpha", "beta", "", "nothing known"], None).await.unwrap();
    assert_eq!(logits, [[2.0 * WEIGHT, WEIGHT], [0.0, WEIGHT], [0.0, 0.0], [0.0, 0.0]]);
    let best = words.ranking.top(&logits[0], 1);
    assert_eq!(best[0].label, "alpha");
    assert!((best[0].score - 0.982).abs() < 1e-3);
}

#[tokio::test]
async fn padding_changes_nothing() {
    let words = Words::new();
    let alone = words.ask(&["alpha"], None).await.unwrap();
    let padded = words.ask(&["alpha", "beta beta beta beta beta beta"], None).await.unwrap();
    assert_eq!(alone[0], padded[0]);
}

#[tokio::test]
async fn a_run_past_its_deadline_is_stopped_and_the_model_serves_on() {
    let words = Words::new();
    assert_eq!(words.ask(&["forever"], soon()).await, Err(RunError::DeadlineExceeded));
    assert_eq!(words.ask(&["alpha"], None).await.unwrap(), [[WEIGHT, 0.0]]);
    let counters = words.model.counters();
    assert_eq!((counters.stopped, counters.executions, counters.failed), (1, 1, 0));
}

#[tokio::test]
async fn a_run_whose_caller_leaves_is_stopped_and_the_model_serves_on() {
    let words = Words::new();
    {
        let forever = words.ask(&["forever"], None);
        let mut forever = std::pin::pin!(forever);
        // Polled once, so it is queued, and then dropped.
        assert!(tokio::time::timeout(Duration::ZERO, &mut forever).await.is_err());
    }
    assert_eq!(words.ask(&["beta"], None).await.unwrap(), [[0.0, WEIGHT]]);
}

#[tokio::test]
async fn logits_that_are_no_numbers_are_an_error() {
    let words = Words::new();
    let error = words.ask(&["nan alpha"], None).await.unwrap_err();
    assert_eq!(error, RunError::Failed("the model gave a logit that is not a finite number".into()));
    assert!(words.ask(&["alpha"], None).await.is_ok());
}

#[tokio::test]
async fn a_text_model_refuses_nothing_but_takes_no_tensors() {
    let words = Words::new();
    let error = words.model.run_tensors(Vec::new(), None).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Invalid(why) if why.contains("input `input_ids` is missing")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_leaves_and_whoever_stays_each_answer_is_its_own() {
    let words = std::sync::Arc::new(Words::new());
    let callers = (0..200_usize).map(|caller| {
        let words = std::sync::Arc::clone(&words);
        tokio::spawn(async move {
            let n = caller % 7;
            // Some leave at once, some while they are queued or running, most stay.
            let patience = if caller % 3 == 0 {
                Duration::from_micros(caller as u64 * 10)
            } else {
                Duration::from_secs(60)
            };
            let texts = [vec!["alpha"; n].join(" "), vec!["beta"; n].join(" ")];
            match words.ask(&[&texts[0], &texts[1]], Some(Instant::now() + patience)).await {
                Ok(logits) => assert_eq!(logits, [[n as f32 * WEIGHT, 0.0], [0.0, n as f32 * WEIGHT]]),
                Err(error) => assert!(
                    matches!(error, RunError::DeadlineExceeded | RunError::Overloaded { .. }),
                    "{error}"
                ),
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert!(words.ask(&["alpha"], None).await.is_ok());
    let counters = words.model.counters();
    assert_eq!((counters.failed, counters.panics, counters.waiting), (0, 0, 0));
}
