//! What the parts cost that run for every call: `cargo bench -p nanogrid-resilience`.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use nanogrid_resilience::{
    Breaker, BreakerSettings, Budget, CODEL_TARGET, Criticality, Gate, GateSettings, Latency, LimitSettings,
    Load, Throttle, Verdict,
    pick::{self, Endpoint},
};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::Instant;

const RTT: Duration = Duration::from_micros(1_500);

struct Member {
    load: Load,
    breaker: Breaker,
}

impl Endpoint for Member {
    fn load(&self) -> &Load {
        &self.load
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

fn hot_path(criterion: &mut Criterion) {
    let (settings, mut random) = (BreakerSettings::default(), SmallRng::seed_from_u64(1));
    criterion.bench_function("clock", |bench| bench.iter(Instant::now));

    let breaker = Breaker::new(1);
    criterion.bench_function("breaker: admit and record", |bench| {
        bench.iter(|| breaker.admit().map(|permit| permit.record(&settings, Verdict::Success)));
    });

    let pool =
        (0..8).map(|seed| Member { load: Load::new(RTT), breaker: Breaker::new(seed) }).collect::<Vec<_>>();
    let now = Instant::now();
    criterion.bench_function("pick: one of 8, without breakers", |bench| {
        bench.iter(|| pick::pick(&pool, |member| &member.load, now, &mut random).is_some());
    });
    criterion.bench_function("pick: one of 8, with its permit", |bench| {
        bench.iter(|| pick::admit(pool.iter(), |_| false, now, &mut random).is_some());
    });
    criterion.bench_function("load: start and succeed", |bench| {
        bench.iter(|| pool[0].load.start().succeeded(black_box(RTT)));
    });

    let latency = Latency::default();
    criterion.bench_function("latency: record", |bench| bench.iter(|| latency.record(black_box(RTT))));
    criterion.bench_function("latency: read p95", |bench| bench.iter(|| latency.p95()));

    let (budget, throttle) = (Budget::for_retries(), Throttle::new());
    criterion.bench_function("budget: deposit", |bench| bench.iter(|| budget.deposit()));
    criterion.bench_function("throttle: admit and record", |bench| {
        bench.iter(|| {
            throttle.admit(&mut random);
            throttle.record(true);
        });
    });

    let limit = LimitSettings { initial: 64, least: 1, most: 64 };
    let gate = Gate::new(GateSettings { limit, queue: 256, target: CODEL_TARGET });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    criterion.bench_function("gate: 1000 times in and out, with nobody else there", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                for _ in 0..1000 {
                    if let Ok(permit) = gate.enter(Criticality::Critical, None).await {
                        permit.succeeded(black_box(RTT));
                    }
                }
            });
        });
    });
    criterion.bench_function("gate: how it stands", |bench| bench.iter(|| gate.now()));
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
