//! Who is inside and who waits: everything of a gate that is behind its lock.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{Gate, GateNow, GateSettings, Permit, Refused, ShedReason};
use crate::{CoDel, Criticality, Limiter};

#[derive(Debug)]
pub(super) struct State {
    limiter: Limiter,
    /// By class: whether it and all above it wait in vain. What is sheddable may wait for ever without making the queue of
    /// the important look stuck.
    codel: [CoDel; Criticality::ALL.len()],
    in_flight: usize,
    /// By class, the oldest in front.
    waiting: [VecDeque<Waiter>; Criticality::ALL.len()],
    /// How many may ever wait.
    queue: usize,
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    deadline: Option<Instant>,
    turn: oneshot::Sender<Turn>,
}

type Turn = Result<Permit, Refused>;

pub(super) enum Entered {
    In(Permit),
    Waits(oneshot::Receiver<Turn>),
    Out(Refused),
}

/// The queue may hold so many limits, or what the server does in one of CoDel's intervals if that is more: four jobs are
/// nothing to a model that does thousands in that time.
const LIMITS_IN_QUEUE: usize = 4;
const SHORTEST_PUSHBACK: Duration = Duration::from_millis(1);
/// A client that is told more than this would outwait any burst that a nano model can have.
const LONGEST_PUSHBACK: Duration = Duration::from_secs(1);

impl State {
    pub(super) fn new(settings: GateSettings) -> Self {
        Self {
            limiter: Limiter::new(settings.limit),
            codel: Criticality::ALL.map(|_| CoDel::new(settings.target)),
            in_flight: 0,
            waiting: Default::default(),
            queue: settings.queue,
        }
    }

    pub(super) fn enter(
        &mut self,
        gate: &Arc<Gate>,
        class: Criticality,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Entered {
        if self.has_room_for(class) {
            // Whoever waits is of a class that has no room now, so nobody is overtaken.
            self.note_if_empty(now);
            return Entered::In(self.permit(gate, now, deadline, now));
        }
        self.give_up_stale(now);
        let most = class.share_of(self.most_waiting());
        if self.n_waiting() >= most {
            // Those who left on their own hold no place.
            self.waiting.iter_mut().for_each(|class| class.retain(|waiter| !waiter.turn.is_closed()));
        }
        if self.n_waiting() >= most && !self.push_out_below(class) {
            return Entered::Out(self.shed(class, ShedReason::Full));
        }
        let (turn, answer) = oneshot::channel();
        self.waiting[class as usize].push_back(Waiter { since: now, deadline, turn });
        Entered::Waits(answer)
    }

    pub(super) fn succeeded(&mut self, gate: &Arc<Gate>, took: Duration, own: Duration, now: Instant) {
        self.limiter.succeeded(took, own, self.in_flight);
        self.left(gate, now);
    }

    /// Left without an answer.
    pub(super) fn gave_up(
        &mut self,
        gate: &Arc<Gate>,
        granted: Instant,
        deadline: Option<Instant>,
        now: Instant,
    ) {
        if let Some(deadline) = deadline.filter(|deadline| *deadline <= now) {
            // Only a deadline that could have been met counts: a client whose deadlines are hopeless must not make the
            // server small for all others. As long as nothing was ever answered, none is known to be hopeless.
            let given = deadline.saturating_duration_since(granted);
            if self.limiter.own().is_none_or(|own| given >= Limiter::tolerated(own)) {
                self.limiter.missed();
            }
        }
        self.left(gate, now);
    }

    fn left(&mut self, gate: &Arc<Gate>, now: Instant) {
        self.in_flight -= 1;
        if self.n_waiting() > 0 {
            self.give_up_stale(now);
            self.let_in(gate, now);
        }
        self.note_if_empty(now);
    }

    pub(super) fn now(&self) -> GateNow {
        let (limit, in_flight, waiting) = (self.limiter.limit(), self.in_flight, self.n_waiting());
        let overloaded = Criticality::ALL.into_iter().any(|class| self.is_overloaded(class));
        GateNow { limit, in_flight, waiting, overloaded }
    }

    /// Gives every free place to the most important who wait.
    fn let_in(&mut self, gate: &Arc<Gate>, now: Instant) {
        for class in Criticality::ALL.into_iter().rev() {
            let newest_first = self.is_overloaded(class);
            while self.has_room_for(class) {
                let waiting = &mut self.waiting[class as usize];
                let next = if newest_first { waiting.pop_back() } else { waiting.pop_front() };
                let Some(waiter) = next else { break };
                if self.is_doomed(&waiter, now) {
                    // The other end may be gone: nobody is left to be told, here and below.
                    let _ = waiter.turn.send(Err(Refused::DeadlineExceeded));
                } else if !waiter.turn.is_closed() {
                    let permit = self.permit(gate, waiter.since, waiter.deadline, now);
                    if let Err(Ok(mut unread)) = waiter.turn.send(Ok(permit)) {
                        // It left in this very moment. Its place is free, and dropping the permit would ask for this lock.
                        unread.gate = None;
                        self.in_flight -= 1;
                    }
                }
            }
        }
    }

    /// Sheds those who waited too long in a queue that stands.
    fn give_up_stale(&mut self, now: Instant) {
        let tolerated = self.tolerated();
        for class in Criticality::ALL {
            let Some(oldest) = self.waiting[class as usize].front() else { continue };
            let codel = &mut self.codel[class as usize];
            codel.waits(oldest.since, now, tolerated);
            if !codel.is_overloaded() {
                continue;
            }
            let longest = codel.target(tolerated);
            let is_stale = |waiter: &Waiter| now.duration_since(waiter.since) > longest;
            while self.waiting[class as usize].front().is_some_and(is_stale) {
                self.shed_oldest(class, ShedReason::Waited);
            }
        }
    }

    /// Makes room at the cost of somebody less important. There may be nobody.
    fn push_out_below(&mut self, class: Criticality) -> bool {
        let lower = Criticality::ALL.into_iter().take_while(|lower| *lower < class);
        let lowest = lower.into_iter().find(|lower| !self.waiting[*lower as usize].is_empty());
        lowest.is_some_and(|lowest| {
            self.shed_oldest(lowest, ShedReason::Full);
            true
        })
    }

    fn shed_oldest(&mut self, class: Criticality, reason: ShedReason) {
        let shed = self.shed(class, reason);
        if let Some(waiter) = self.waiting[class as usize].pop_front() {
            let _ = waiter.turn.send(Err(shed));
        }
    }

    /// Will its deadline pass before even the quickest answer?
    fn is_doomed(&self, waiter: &Waiter, now: Instant) -> bool {
        let needed = self.limiter.quickest().unwrap_or_default();
        waiter.deadline.is_some_and(|deadline| deadline <= now + needed)
    }

    fn permit(
        &mut self,
        gate: &Arc<Gate>,
        asked: Instant,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Permit {
        self.in_flight += 1;
        Permit { gate: Some(Arc::clone(gate)), asked, granted: now, deadline }
    }

    fn shed(&self, class: Criticality, reason: ShedReason) -> Refused {
        // What has to leave until this class has room again, one after another.
        let most = class.share_of(self.limiter.limit());
        let ahead = (self.in_flight + self.n_waiting() + 1).saturating_sub(most);
        let each = self.limiter.each().unwrap_or(SHORTEST_PUSHBACK);
        let drained = each.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        Refused::Shed { reason, retry_after: drained.clamp(SHORTEST_PUSHBACK, LONGEST_PUSHBACK) }
    }

    fn has_room_for(&self, class: Criticality) -> bool {
        self.in_flight < class.share_of(self.limiter.limit())
    }

    fn most_waiting(&self) -> usize {
        // Before anything was measured nobody knows what is too much, and a burst at the start is none.
        let Some(each) = self.limiter.each() else { return self.queue };
        let interval = self.codel[Criticality::default() as usize].interval(self.tolerated());
        let in_interval = interval.as_nanos() / each.as_nanos().max(1);
        let in_interval = usize::try_from(in_interval).unwrap_or(usize::MAX);
        (self.limiter.limit() * LIMITS_IN_QUEUE).max(in_interval).min(self.queue)
    }

    fn is_overloaded(&self, class: Criticality) -> bool {
        !self.waiting[class as usize].is_empty() && self.codel[class as usize].is_overloaded()
    }

    /// The wait that the work itself calls for: twice what is tolerated inside. Callers who ask again as soon as they are
    /// answered, a few batches of them, make a queue that never empties and still moves; they are no overload.
    fn tolerated(&self) -> Duration {
        self.limiter.own().map(Limiter::tolerated).unwrap_or_default() * 2
    }

    fn note_if_empty(&mut self, now: Instant) {
        for class in Criticality::ALL.into_iter().rev() {
            if !self.waiting[class as usize].is_empty() {
                break;
            }
            self.codel[class as usize].empty(now);
        }
    }

    fn n_waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}
