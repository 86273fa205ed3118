//! The gate in front of a simulated model that batches, in paused time: where the limit settles, and what overload does to
//! those who are let in.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{Gate, GateSettings, Refused};
use crate::{CODEL_TARGET, Criticality, LimitSettings};

/// Runs batches one after another: `fixed` for any, and `each` for every job in it.
#[derive(Clone, Copy)]
struct Model {
    fixed: Duration,
    each: Duration,
    most: usize,
}

impl Model {
    /// Jobs a second, all batches full.
    fn capacity(self) -> f64 {
        self.most as f64 / (self.fixed + self.each * self.most as u32).as_secs_f64()
    }
}

type Job = oneshot::Sender<Duration>;

struct Server {
    gate: Arc<Gate>,
    jobs: mpsc::UnboundedSender<Job>,
    /// What a run takes, times this.
    slowdown: Arc<Mutex<f64>>,
}

#[derive(Default, Debug)]
struct Report {
    offered: usize,
    answered: usize,
    late: usize,
    shed: usize,
    most_waiting: usize,
    slowest: Duration,
}

impl Report {
    /// As a part of what the model can do.
    fn goodput(&self, model: Model, lasts: Duration) -> f64 {
        self.answered as f64 / lasts.as_secs_f64() / model.capacity()
    }

    fn share_answered(&self) -> f64 {
        self.answered as f64 / self.offered as f64
    }
}

impl Server {
    fn new(model: Model, initial: usize) -> Arc<Self> {
        let limit = LimitSettings { initial, least: 1, most: 64 };
        let gate = Gate::new(GateSettings { limit, queue: 256, target: CODEL_TARGET });
        let (jobs, mut waiting) = mpsc::unbounded_channel::<Job>();
        let slowdown = Arc::new(Mutex::new(1.0));
        let factor = Arc::clone(&slowdown);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, model.most).await > 0 {
                let took = (model.fixed + model.each * batch.len() as u32).mul_f64(*factor.lock().unwrap());
                sleep(took).await;
                batch.drain(..).for_each(|job| {
                    let _ = job.send(took);
                });
            }
        });
        Arc::new(Self { gate, jobs, slowdown })
    }

    async fn serve(&self, class: Criticality, deadline: Instant) -> Result<(), Option<Refused>> {
        let permit = self.gate.enter(class, Some(deadline)).await.map_err(Some)?;
        let (job, answer) = oneshot::channel();
        self.jobs.send(job).unwrap();
        let own = timeout_at(deadline, answer).await.map_err(|_| None)?;
        permit.succeeded(own.unwrap());
        Ok(())
    }

    /// Offers `rate` requests a second at random moments, and reports by class.
    async fn offer(
        self: &Arc<Self>,
        rate: f64,
        lasts: Duration,
        mix: &[(Criticality, f64)],
        deadline: Duration,
    ) -> [Report; 4] {
        let reports: Arc<Mutex<[Report; 4]>> = Arc::default();
        let mut random = StdRng::seed_from_u64(7);
        let (mut at, end) = (Instant::now(), Instant::now() + lasts);
        let mut tasks = tokio::task::JoinSet::new();
        while at < end {
            sleep_until(at).await;
            let mut drawn = random.random_range(0.0..1.0);
            let class = mix.iter().find(|(_, share)| (drawn -= share, drawn < 0.0).1);
            let class = class.map_or(Criticality::Critical, |(class, _)| *class);
            let (server, reports) = (Arc::clone(self), Arc::clone(&reports));
            tasks.spawn(async move {
                let asked = Instant::now();
                let served = server.serve(class, asked + deadline).await;
                let waiting = server.gate.now().waiting;
                let report = &mut reports.lock().unwrap()[class as usize];
                report.offered += 1;
                report.most_waiting = report.most_waiting.max(waiting);
                match served {
                    Ok(()) => {
                        report.answered += 1;
                        report.slowest = report.slowest.max(asked.elapsed());
                    }
                    Err(Some(Refused::Shed { .. })) => report.shed += 1,
                    Err(Some(Refused::DeadlineExceeded) | None) => report.late += 1,
                }
            });
            at += Duration::from_secs_f64(-random.random_range(f64::EPSILON..1.0).ln() / rate);
        }
        tasks.join_all().await;
        std::mem::take(&mut *reports.lock().unwrap())
    }

    async fn load(self: &Arc<Self>, share_of_capacity: f64, model: Model, lasts: Duration) -> Report {
        let rate = model.capacity() * share_of_capacity;
        let [_, _, report, _] = self.offer(rate, lasts, &[], Duration::from_secs(1)).await;
        report
    }
}

/// One at a time, 4 ms each: small int8 tensors.
const SINGLE: Model = Model { fixed: Duration::ZERO, each: Duration::from_millis(4), most: 1 };
/// Texts that share a run: 2 ms for any, half a millisecond for each.
const BATCHED: Model = Model { fixed: Duration::from_millis(2), each: Duration::from_micros(500), most: 16 };
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn under_overload_the_limit_keeps_the_model_busy_and_no_more_from_wherever_it_starts() {
    for (model, limits) in [(SINGLE, 2..=8), (BATCHED, 32..=60)] {
        for initial in [1, 16, 64] {
            let server = Server::new(model, initial);
            server.load(3.0, model, SECOND).await;
            let report = server.load(3.0, model, 4 * SECOND).await;
            let (goodput, limit) = (report.goodput(model, 4 * SECOND), server.gate.now().limit);
            assert!(goodput > 0.97, "from {initial}: {goodput:.3} of the capacity");
            assert!(limits.contains(&limit), "from {initial}: limit {limit}");
            assert_eq!(report.late, 0, "nobody was kept waiting until it was too late");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn below_capacity_next_to_nobody_is_shed() {
    for model in [SINGLE, BATCHED] {
        let server = Server::new(model, 16);
        let report = server.load(0.9, model, 10 * SECOND).await;
        assert!(report.shed * 50 < report.offered && report.late == 0, "{report:?}");
        let report = server.load(0.5, model, 10 * SECOND).await;
        assert_eq!(report.answered, report.offered, "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_batches_of_callers_who_ask_again_and_again_are_not_shed() {
    let server = Server::new(BATCHED, 16);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 * BATCHED.most {
        let server = Arc::clone(&server);
        callers.spawn(async move {
            for _ in 0..500 {
                server.serve(Criticality::Critical, Instant::now() + SECOND).await.expect("answered");
            }
        });
    }
    callers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn while_everything_times_out_the_limit_falls_and_afterwards_it_recovers() {
    let server = Server::new(BATCHED, 16);
    let healthy = server.load(1.5, BATCHED, 2 * SECOND).await;
    let before = server.gate.now().limit;
    *server.slowdown.lock().unwrap() = 500.0;
    server.load(0.5, BATCHED, 10 * SECOND).await;
    assert!(server.gate.now().limit < before / 3, "from {before} to {}", server.gate.now().limit);
    *server.slowdown.lock().unwrap() = 1.0;
    server.load(1.5, BATCHED, 10 * SECOND).await;
    let healed = server.load(1.5, BATCHED, 2 * SECOND).await;
    assert!(healed.answered * 100 > healthy.answered * 97, "{healthy:?} before, {healed:?} after");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answered_in_time_does_not_climb() {
    let server = Server::new(BATCHED, 16);
    *server.slowdown.lock().unwrap() = 500.0;
    for _ in 0..30 {
        let before = server.gate.now().limit;
        server.load(0.5, BATCHED, SECOND).await;
        assert!(server.gate.now().limit <= before);
    }
    assert_eq!(server.gate.now().limit, 1);
}

#[tokio::test(start_paused = true)]
async fn at_three_times_the_capacity_the_sheddable_are_shed_and_the_critical_are_answered_in_time() {
    use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};
    for model in [SINGLE, BATCHED] {
        let server = Server::new(model, 16);
        // The important ones alone are four fifths of what it can do.
        let mix = [(CriticalPlus, 0.07), (Critical, 0.2), (SheddablePlus, 0.33), (Sheddable, 0.4)];
        let deadline = Duration::from_millis(250);
        let reports = server.offer(model.capacity() * 3.0, 10 * SECOND, &mix, deadline).await;
        let [sheddable, sheddable_plus, critical, critical_plus] = &reports;
        for important in [critical, critical_plus] {
            assert!(important.answered * 100 >= important.offered * 99, "{reports:#?}");
            assert!(important.slowest <= deadline);
        }
        assert!(sheddable.answered * 4 < sheddable.offered, "{sheddable:?}");
        assert!(sheddable.share_answered() <= sheddable_plus.share_answered(), "{reports:#?}");
        let answered: usize = reports.iter().map(|report| report.answered).sum();
        assert!(answered as f64 / 10.0 > 0.95 * model.capacity(), "{reports:#?}");
        assert!(reports.iter().all(|report| report.most_waiting <= 256));
    }
}
