//! The worker behind its handle, with an engine that does what the test says: no model, no clock, no chance.

use std::{
    num::NonZeroUsize,
    sync::{Arc, mpsc as sync},
    time::Duration,
};

use nanogrid_settings::package::NumBeams;
use tokio::{task::JoinHandle, time::Instant};

use super::{Engine, Limits, Row, Stop};
use crate::{Generated, Model, Run, RunError, TensorValue, Tokens, generation::Prompt};

/// Token ids of the rows of one run.
type Seen = Vec<Vec<u32>>;

/// Reports each run, waits to be told how it ends, and answers each row with its length and its first id.
struct Scripted {
    started: sync::Sender<Seen>,
    ending: sync::Receiver<Ending>,
    stopped: Option<sync::Receiver<()>>,
}

enum Ending {
    Answer,
    Fail,
    Panic,
    /// Goes on until it is stopped.
    Forever,
}

/// A row with this id gets an answer that is no number.
const NAN: u32 = 999;
/// A run with this id fails.
const BAD: u32 = 666;

struct Stopper(sync::Sender<()>);

impl Stop for Stopper {
    fn stop(&self) {
        let _ = self.0.send(());
    }
}

impl Engine for Scripted {
    fn prepare(&mut self) -> Result<Arc<dyn Stop>, RunError> {
        let (stop, stopped) = sync::channel();
        self.stopped = Some(stopped);
        Ok(Arc::new(Stopper(stop)))
    }

    fn logits(&mut self, rows: &[&Row]) -> Result<Vec<Vec<f32>>, RunError> {
        let ids = |row: &&Row| match row {
            Row::Text(tokens) => tokens.ids.clone(),
            Row::Image(_) => panic!("no test asks for images"),
        };
        let rows: Seen = rows.iter().map(ids).collect();
        self.started.send(rows.clone()).unwrap();
        match self.ending.recv().unwrap() {
            Ending::Fail => return Err(RunError::Failed("scripted".into())),
            Ending::Panic => panic!("scripted"),
            Ending::Forever => {
                self.stopped.as_ref().unwrap().recv().unwrap();
                return Err(RunError::Failed("stopped".into()));
            }
            Ending::Answer if rows.concat().contains(&BAD) => return Err(RunError::Failed("bad row".into())),
            Ending::Answer => {}
        }
        let first = |row: &[u32]| if row[0] == NAN { f32::NAN } else { row[0] as f32 };
        Ok(rows.iter().map(|row| vec![row.len() as f32, first(row)]).collect())
    }

    /// Each prompt with its own ids.
    fn generate(&mut self, prompts: &[Prompt<'_>]) -> Result<Vec<Result<Generated, RunError>>, RunError> {
        let seen: Seen = prompts.iter().map(|prompt| prompt.ids.to_vec()).collect();
        self.started.send(seen.clone()).unwrap();
        let Ending::Answer = self.ending.recv().unwrap() else { panic!("no test ends it otherwise") };
        Ok(seen.into_iter().map(|ids| Ok(Generated { ids, score: 0.0 })).collect())
    }

    fn tensors(&mut self, inputs: &[TensorValue]) -> Result<Vec<TensorValue>, RunError> {
        Ok(inputs.to_vec())
    }
}

struct Script {
    model: Model,
    started: sync::Receiver<Seen>,
    endings: Vec<sync::Sender<Ending>>,
}

impl Script {
    fn new(workers: usize, max_batch_rows: usize, max_batch_tokens: usize) -> Self {
        let (report, started) = sync::channel();
        let (endings, engines): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| {
                let (say, ending) = sync::channel();
                (say, Scripted { started: report.clone(), ending, stopped: None })
            })
            .unzip();
        let number = |n| NonZeroUsize::new(n).unwrap();
        let limits = Limits { rows: number(max_batch_rows), cost: number(max_batch_tokens) };
        let model = Model::start("scripted", engines, Vec::new(), Vec::new(), number(4), limits).unwrap();
        Self { model, started, endings }
    }

    /// Asks, and waits until the job is in the queue (or in a run, if the worker is idle).
    async fn ask(&self, rows: &[&[u32]], deadline: Option<Instant>) -> JoinHandle<Result<Run, RunError>> {
        let rows = rows.iter().map(|ids| Tokens { ids: ids.to_vec(), truncated: false }).collect();
        let model = self.model.clone();
        let (asked, is_asked) = tokio::sync::oneshot::channel();
        let answer = tokio::spawn(async move {
            let _ = asked.send(());
            model.run_text(rows, deadline).await
        });
        // On the test's one thread the task goes on to its first wait, which is after the queue.
        is_asked.await.unwrap();
        answer
    }

    /// As [`Self::ask`], for texts.
    async fn generate(&self, rows: &[&[u32]], num_beams: u64) -> JoinHandle<Result<Vec<Vec<u32>>, RunError>> {
        let rows = rows.iter().map(|ids| Tokens { ids: ids.to_vec(), truncated: false }).collect();
        let (model, num_beams) = (self.model.clone(), NumBeams::try_from(num_beams).unwrap());
        let (asked, is_asked) = tokio::sync::oneshot::channel();
        let answer = tokio::spawn(async move {
            let _ = asked.send(());
            let texts = model.generate(rows, num_beams, None).await?.texts;
            Ok(texts.into_iter().map(|text| text.ids).collect())
        });
        is_asked.await.unwrap();
        answer
    }

    /// The next run. Blocks the test's thread, so that a paused clock stands still until the worker gets there.
    fn started(&self) -> Seen {
        self.started.recv().expect("a run")
    }

    fn end(&self, ending: Ending) {
        self.endings[0].send(ending).unwrap();
    }

    /// Lets the worker start a run that keeps it busy, so that what follows waits together.
    async fn busy(&self) -> JoinHandle<Result<Run, RunError>> {
        let busy = self.ask(&[&[1]], None).await;
        assert_eq!(self.started(), [[1]]);
        busy
    }
}

async fn answer(asked: JoinHandle<Result<Run, RunError>>) -> Result<Vec<Vec<f32>>, RunError> {
    asked.await.unwrap().map(|run| run.logits)
}

#[tokio::test]
async fn jobs_that_wait_together_run_together() {
    let script = Script::new(1, 8, 100);
    let busy = script.busy().await;
    let (a, b) = (script.ask(&[&[10]], None).await, script.ask(&[&[20, 21], &[30]], None).await);
    assert_eq!(script.model.counters().waiting, 2);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [vec![10], vec![30], vec![20, 21]]);
    script.end(Ending::Answer);

    assert_eq!(answer(busy).await.unwrap(), [[1.0, 1.0]]);
    let a = a.await.unwrap().unwrap();
    assert_eq!(a.logits, [[1.0, 10.0]]);
    assert_eq!(a.times.batch_rows, 3);
    assert_eq!(answer(b).await.unwrap(), [[2.0, 20.0], [1.0, 30.0]], "in the caller's order");
    let counters = script.model.counters();
    assert_eq!((counters.executions, counters.rows, counters.waiting), (2, 4, 0));
}

#[tokio::test]
async fn padding_counts_so_a_long_row_runs_by_itself() {
    let script = Script::new(1, 8, 6);
    let _busy = script.busy().await;
    let long = [7; 5];
    let _asked = [
        script.ask(&[&[10]], None).await,
        script.ask(&[&[20, 21]], None).await,
        // Three rows of width 5 would cost 15.
        script.ask(&[&long], None).await,
        script.ask(&[&[30]], None).await,
    ];
    script.end(Ending::Answer);
    assert_eq!(script.started(), [vec![10], vec![20, 21]]);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [long]);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[30]]);
}

#[tokio::test]
async fn what_is_answered_with_beams_takes_the_place_of_as_many_rows() {
    let script = Script::new(1, 5, 100);
    let busy = script.busy().await;
    let three = script.generate(&[&[10, 11], &[20], &[30]], 2).await;
    let greedy = script.generate(&[&[40]], 1).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[20], [30]], "four rows of the model; two more would be six");
    script.end(Ending::Answer);
    assert_eq!(script.started(), [vec![10, 11], vec![40]], "beams and greedy search share a run");
    script.end(Ending::Answer);
    assert_eq!(three.await.unwrap().unwrap(), [vec![10, 11], vec![20], vec![30]], "in the caller's order");
    assert_eq!(greedy.await.unwrap().unwrap(), [[40]]);
    assert!(busy.await.unwrap().is_ok());
}

#[tokio::test]
async fn logits_and_texts_are_not_answered_by_one_run() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let logits = script.ask(&[&[10]], None).await;
    let text = script.generate(&[&[20]], 1).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[10]]);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[20]]);
    script.end(Ending::Answer);
    assert_eq!(answer(logits).await.unwrap(), [[1.0, 10.0]]);
    assert_eq!(text.await.unwrap().unwrap(), [[20]]);
}

#[tokio::test]
async fn a_row_longer_than_the_limit_still_runs() {
    let script = Script::new(1, 8, 2);
    let long = script.ask(&[&[5, 6, 7]], None).await;
    assert_eq!(script.started(), [[5, 6, 7]]);
    script.end(Ending::Answer);
    assert_eq!(answer(long).await.unwrap(), [[3.0, 5.0]]);
}

#[tokio::test]
async fn a_job_too_big_for_one_run_is_spread_over_several_and_answered_in_its_order() {
    let script = Script::new(1, 2, 100);
    let big = script.ask(&[&[1, 1, 1], &[2], &[3, 3], &[4], &[5]], None).await;
    assert_eq!(script.started(), [[2], [4]], "short rows first: they need no padding");
    let behind = script.ask(&[&[6]], None).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [vec![5], vec![3, 3]]);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [vec![1, 1, 1], vec![6]], "the last run has room for another job");
    script.end(Ending::Answer);
    let big = big.await.unwrap().unwrap();
    assert_eq!(big.logits, [[3.0, 1.0], [1.0, 2.0], [2.0, 3.0], [1.0, 4.0], [1.0, 5.0]]);
    assert_eq!(big.times.batch_rows, 2);
    assert_eq!(answer(behind).await.unwrap(), [[1.0, 6.0]]);
}

#[tokio::test]
async fn a_job_whose_caller_left_is_not_run() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let gone = script.ask(&[&[10]], None).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let stays = script.ask(&[&[20]], None).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[20]]);
    script.end(Ending::Answer);
    assert!(answer(stays).await.is_ok());
    assert_eq!(script.model.counters().skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_in_the_queue_ends_the_wait_and_saves_the_run() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let late = script.ask(&[&[10]], Some(Instant::now() + Duration::from_secs(60))).await;
    assert_eq!(answer(late).await, Err(RunError::DeadlineExceeded));
    let next = script.ask(&[&[20]], None).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[20]]);
    script.end(Ending::Answer);
    assert!(answer(next).await.is_ok());
    assert_eq!(script.model.counters().skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_past_never_reaches_the_queue() {
    let script = Script::new(1, 8, 100);
    let now = Instant::now();
    assert_eq!(answer(script.ask(&[&[10]], Some(now)).await).await, Err(RunError::DeadlineExceeded));
    assert_eq!(script.model.counters(), crate::Counters::default());
}

#[tokio::test(start_paused = true)]
async fn a_run_is_stopped_when_the_last_deadline_in_it_has_passed() {
    let script = Script::new(1, 8, 100);
    let busy = script.busy().await;
    let deadline = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
    let (a, b) = (script.ask(&[&[10]], deadline(60)).await, script.ask(&[&[20]], deadline(120)).await);
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[10], [20]]);
    assert!(answer(busy).await.is_ok());
    script.end(Ending::Forever);
    assert_eq!(answer(a).await, Err(RunError::DeadlineExceeded));
    assert_eq!(script.model.counters().stopped, 0, "the other one still waits");
    assert_eq!(answer(b).await, Err(RunError::DeadlineExceeded));

    let next = script.ask(&[&[30]], None).await;
    assert_eq!(script.started(), [[30]]);
    script.end(Ending::Answer);
    assert!(answer(next).await.is_ok());
    let counters = script.model.counters();
    assert_eq!((counters.stopped, counters.failed, counters.skipped), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_callers_deadline_does_not_cost_another_its_answer() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let hasty = script.ask(&[&[10]], Some(Instant::now() + Duration::from_secs(60))).await;
    let patient = script.ask(&[&[20]], None).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[10], [20]]);
    assert_eq!(answer(hasty).await, Err(RunError::DeadlineExceeded));
    script.end(Ending::Answer);
    assert_eq!(answer(patient).await.unwrap(), [[1.0, 20.0]]);
    assert_eq!(script.model.counters().stopped, 0);
}

#[tokio::test]
async fn a_full_queue_says_no_at_once() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let mut waiting = Vec::new();
    for id in 0..4 {
        waiting.push(script.ask(&[&[10 + id]], None).await);
    }
    assert_eq!(answer(script.ask(&[&[20]], None).await).await, Err(RunError::Overloaded { capacity: 4 }));
    script.end(Ending::Answer);
    script.end(Ending::Answer);
    for waiting in waiting {
        assert!(answer(waiting).await.is_ok());
    }
    assert!(script.model.counters().waiting == 0);
}

#[tokio::test]
async fn a_panic_fails_the_jobs_at_hand_and_nothing_else() {
    let script = Script::new(1, 8, 100);
    let unlucky = script.busy().await;
    let next = script.ask(&[&[10]], None).await;
    script.end(Ending::Panic);
    assert_eq!(
        answer(unlucky).await,
        Err(RunError::Failed("a worker thread panicked while it had this job".into()))
    );
    assert_eq!(script.started(), [[10]]);
    script.end(Ending::Answer);
    assert!(answer(next).await.is_ok());
    assert_eq!(script.model.counters().panics, 1);
}

#[tokio::test]
async fn one_bad_job_does_not_fail_those_it_shares_a_run_with() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let (good, bad) = (script.ask(&[&[10]], None).await, script.ask(&[&[BAD]], None).await);
    for _ in 0..4 {
        script.end(Ending::Answer);
    }
    assert_eq!(script.started(), [[10], [BAD]]);
    assert_eq!(script.started(), [[10]]);
    assert_eq!(script.started(), [[BAD]]);
    assert_eq!(answer(good).await.unwrap(), [[1.0, 10.0]]);
    assert_eq!(answer(bad).await, Err(RunError::Failed("bad row".into())));
    assert_eq!(script.model.counters().failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_deadline_passed_while_its_batch_failed_is_not_run_again() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let late = script.ask(&[&[10]], Some(Instant::now() + Duration::from_secs(60))).await;
    let patient = script.ask(&[&[20]], None).await;
    script.end(Ending::Answer);
    assert_eq!(script.started(), [[10], [20]]);
    assert_eq!(answer(late).await, Err(RunError::DeadlineExceeded));
    script.end(Ending::Fail);
    assert_eq!(script.started(), [[20]], "the first is not run by itself");
    script.end(Ending::Answer);
    assert_eq!(answer(patient).await.unwrap(), [[1.0, 20.0]]);
    assert_eq!(script.model.counters().skipped, 1);
}

#[tokio::test]
async fn a_failed_run_is_an_error_with_the_models_words() {
    let script = Script::new(1, 8, 100);
    script.end(Ending::Fail);
    assert_eq!(answer(script.ask(&[&[1]], None).await).await, Err(RunError::Failed("scripted".into())));
}

#[tokio::test]
async fn a_logit_that_is_no_number_fails_its_own_job_only() {
    let script = Script::new(1, 8, 100);
    let _busy = script.busy().await;
    let odd = script.ask(&[&[NAN], &[10]], None).await;
    let even = script.ask(&[&[20]], None).await;
    script.end(Ending::Answer);
    script.end(Ending::Answer);
    let error = RunError::Failed("the model gave a logit that is not a finite number".into());
    assert_eq!(answer(odd).await, Err(error));
    assert_eq!(answer(even).await.unwrap(), [[1.0, 20.0]]);
}

#[tokio::test]
async fn a_second_worker_serves_while_the_first_is_busy() {
    let script = Script::new(2, 8, 100);
    let a = script.busy().await;
    let b = script.ask(&[&[2]], None).await;
    assert_eq!(script.started(), [[2]], "although the first run has not ended");
    script.endings.iter().for_each(|ending| ending.send(Ending::Answer).unwrap());
    assert!(answer(a).await.is_ok() && answer(b).await.is_ok());
}

#[tokio::test]
async fn no_rows_need_no_run() {
    let script = Script::new(1, 8, 100);
    assert_eq!(answer(script.ask(&[], None).await).await.unwrap(), Vec::<Vec<f32>>::new());
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let Script { model, started, endings } = Script::new(2, 8, 100);
    let other = model.clone();
    drop(model);
    endings[0].send(Ending::Answer).unwrap();
    endings[1].send(Ending::Answer).unwrap();
    assert!(other.run_text(vec![Tokens { ids: vec![1], truncated: false }], None).await.is_ok());
    assert!(started.recv().is_ok());
    drop(other);
    assert!(started.recv().is_err(), "the engines are gone");
}
