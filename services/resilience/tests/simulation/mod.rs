//! An open-loop client, a picker, and three scripted endpoints. The picker under test is the production code.

use std::{collections::BTreeMap, fmt, time::Duration};

use nanogrid_resilience::{
    Breaker, BreakerSettings, Load, Pending, Verdict,
    breaker::Permit,
    load::penalty,
    pick::{self, Endpoint},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::{Instant, advance};

const RTT: Duration = Duration::from_millis(2);
const CALLS_PER_SECOND: f64 = 300.0;
const BEGINS: f64 = 20.0;
const HEALS: f64 = 80.0;
const ENDS: f64 = 120.0;
/// The endpoint that misbehaves.
const ODD: usize = 0;
/// A third would be fair; with one fifth it counts as back.
const BACK: f64 = 0.2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Picker {
    Random,
    /// Peak-EWMA as in linkerd and tower: decay 10 s, 30 ms for what is new, no penalty.
    PeakEwma,
    Penalty,
    PenaltyAndBreakers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scenario {
    /// Every call fails, in 0.1 ms.
    FailsFast,
    /// Three calls in ten fail, as fast.
    FailsSometimes,
    /// Answers take 50 ms.
    Slow,
    /// It is not there before.
    Joins,
}

/// Shares are from 0 to 1, times in seconds. `share`, `errors` and `first_second` are about the time of misbehaviour.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: f64,
    pub(crate) errors_after_first_second: f64,
    /// Of the calls, to the odd endpoint.
    pub(crate) share: f64,
    pub(crate) first_second: f64,
    /// From healing (or joining) to a fifth of a second's calls.
    pub(crate) back_after: f64,
}

impl Report {
    pub(crate) fn worse(&self, other: &Self) -> Self {
        Self {
            errors: self.errors.max(other.errors),
            errors_after_first_second: self.errors_after_first_second.max(other.errors_after_first_second),
            share: self.share.max(other.share),
            first_second: self.first_second.max(other.first_second),
            back_after: self.back_after.max(other.back_after),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [errors, later, share, first] =
            [self.errors, self.errors_after_first_second, self.share, self.first_second]
                .map(|part| part * 100.0);
        write!(
            formatter,
            "{errors:.2} % | {later:.3} % | {share:.2} % | {first:.1} % | {:.0} s",
            self.back_after
        )
    }
}

struct Node {
    id: usize,
    load: Load,
    breaker: Breaker,
    plain: PlainEwma,
}

impl Endpoint for Node {
    fn load(&self) -> &Load {
        &self.load
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

impl Node {
    fn new(id: usize, initial: Duration) -> Self {
        let plain = PlainEwma { value: 0.030, at: Instant::now() };
        Self { id, load: Load::new(initial), breaker: Breaker::new(id as u64), plain }
    }
}

/// What to compare with.
struct PlainEwma {
    value: f64,
    at: Instant,
}

impl PlainEwma {
    fn left(&self) -> f64 {
        (-self.at.elapsed().as_secs_f64() / 10.0).exp()
    }

    fn sample(&mut self, took: f64) {
        let left = self.left();
        self.value = if took > self.value { took } else { self.value * left + took * (1.0 - left) };
        self.at = Instant::now();
    }
}

struct Flight {
    node: usize,
    began: Instant,
    fails: bool,
    pending: Pending,
    permit: Option<Permit>,
}

/// One second of the simulation.
#[derive(Clone, Default)]
struct Second {
    calls: u32,
    to_odd: u32,
    errors: u32,
}

pub(crate) async fn run(picker: Picker, scenario: Scenario, seed: u64) -> Report {
    let (mut random, start) = (SmallRng::seed_from_u64(seed), Instant::now());
    let mut nodes = (0..3).map(|id| Node::new(id, RTT)).collect::<Vec<_>>();
    let mut joined = scenario != Scenario::Joins;
    let mut flights = BTreeMap::<(Instant, u64), Flight>::new();
    let mut seconds = vec![Second::default(); ENDS as usize];
    let (mut arrival, mut n_calls) = (start, 0_u64);
    while arrival < start + Duration::from_secs_f64(ENDS) {
        let done = flights.first_key_value().map(|(&(at, _), _)| at);
        let next = done.map_or(arrival, |done| done.min(arrival));
        advance(next - Instant::now()).await;
        if let Some(flight) = done.filter(|&done| done <= arrival).and_then(|_| flights.pop_first()) {
            finish(&mut nodes, flight.1);
            continue;
        }
        let time = (arrival - start).as_secs_f64();
        if !joined && time >= BEGINS {
            joined = true;
            let median = pick::median(nodes[1..].iter().map(|node| node.load.rtt())).expect("two");
            nodes[ODD] = Node::new(ODD, median);
            nodes[ODD].load.warm_from(Instant::now());
        }
        let pool = if joined { &nodes[..] } else { &nodes[1..] };
        let (node, permit) = choose(picker, pool, &mut random);
        let (took, fails) = answer(scenario, node, time, &mut random);
        let second = &mut seconds[time as usize];
        second.calls += 1;
        second.to_odd += u32::from(node == ODD);
        second.errors += u32::from(fails);
        let flight = Flight { node, began: arrival, fails, pending: nodes[node].load.start(), permit };
        n_calls += 1;
        flights.insert((arrival + took, n_calls), flight);
        arrival +=
            Duration::from_secs_f64(-random.random_range(f64::EPSILON..1.0_f64).ln() / CALLS_PER_SECOND);
    }
    report(scenario, &seconds)
}

fn choose(picker: Picker, pool: &[Node], random: &mut SmallRng) -> (usize, Option<Permit>) {
    let now = Instant::now();
    match picker {
        Picker::Random => (pool[random.random_range(0..pool.len())].id, None),
        Picker::PeakEwma => {
            let first = random.random_range(0..pool.len());
            let second = (first + random.random_range(1..pool.len())) % pool.len();
            let cost =
                |i: usize| pool[i].plain.value * pool[i].plain.left() * f64::from(pool[i].load.pending() + 1);
            (pool[if cost(second) < cost(first) { second } else { first }].id, None)
        }
        Picker::Penalty => (pick::pick(pool, |node| &node.load, now, random).expect("not empty").id, None),
        Picker::PenaltyAndBreakers => {
            let (node, permit) = pick::admit(pool.iter(), |_| false, now, random).expect("not empty");
            (node.id, Some(permit))
        }
    }
}

/// How long the endpoint takes, and whether it fails.
fn answer(scenario: Scenario, node: usize, time: f64, random: &mut SmallRng) -> (Duration, bool) {
    let odd = node == ODD && (BEGINS..HEALS).contains(&time);
    let usual = RTT.mul_f64(random.random_range(0.8..1.5));
    match scenario {
        Scenario::FailsFast if odd => (Duration::from_micros(100), true),
        Scenario::FailsSometimes if odd && random.random_bool(0.3) => (Duration::from_micros(100), true),
        Scenario::Slow if odd => (25 * usual, false),
        Scenario::FailsFast | Scenario::FailsSometimes | Scenario::Slow | Scenario::Joins => (usual, false),
    }
}

fn finish(nodes: &mut [Node], flight: Flight) {
    let took = flight.began.elapsed();
    nodes[flight.node].plain.sample(took.as_secs_f64());
    if flight.fails {
        let median = pick::median(nodes.iter().map(|node| node.load.rtt())).expect("three");
        flight.pending.failed(penalty(median, None));
    } else {
        flight.pending.succeeded(took);
    }
    if let Some(permit) = flight.permit {
        let verdict = if flight.fails { Verdict::Failure } else { Verdict::Success };
        permit.record(&BreakerSettings::default(), verdict);
    }
}

fn report(scenario: Scenario, seconds: &[Second]) -> Report {
    let (begins, heals) = (BEGINS as usize, HEALS as usize);
    let part = |range: std::ops::Range<usize>, count: fn(&Second) -> u32| {
        let sum = |count: fn(&Second) -> u32| seconds[range.clone()].iter().map(count).sum::<u32>();
        f64::from(sum(count)) / f64::from(sum(|second| second.calls))
    };
    let back_from = if scenario == Scenario::Joins { begins } else { heals };
    let is_back = |second: &Second| f64::from(second.to_odd) > BACK * f64::from(second.calls);
    let back_after = seconds[back_from..].iter().position(is_back).unwrap_or(seconds.len() - back_from);
    Report {
        errors: part(begins..heals, |second| second.errors),
        errors_after_first_second: part(begins + 1..heals, |second| second.errors),
        share: part(begins..heals, |second| second.to_odd),
        first_second: part(begins..begins + 1, |second| second.to_odd),
        back_after: back_after as f64,
    }
}
