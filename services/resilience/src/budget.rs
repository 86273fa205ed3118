//! How many attempts beyond the first there may be, so that retries never become the load that breaks what they retry.

/// Attempts beyond the first (retries, or hedges) of one expert: a share of its calls, and a few in any case.
#[derive(Debug)]
pub struct Budget {}

/// Attempts beyond the first of the whole router: at most a tenth of its calls, whatever the experts allow.
#[derive(Debug)]
pub struct GlobalBudget {}

/// Which budget was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The expert's own.
    Expert,
    /// The router's.
    Global,
}

impl Budget {
    /// One per second in any case: an expert with two calls per second could otherwise never retry.
    pub fn for_retries() -> Self {
        unimplemented!()
    }

    /// None in any case: a hedge is a luxury.
    pub fn for_hedges() -> Self {
        unimplemented!()
    }

    /// A call begins (once per call, not per attempt).
    pub fn deposit(&self) {
        unimplemented!()
    }

    /// Leave for one more attempt, if that keeps them under `ratio` of the calls of the last 10 s.
    pub fn withdraw(&self, ratio: f32) -> bool {
        let _ = ratio;
        unimplemented!()
    }
}

impl GlobalBudget {
    /// An empty budget.
    pub fn new() -> Self {
        unimplemented!()
    }

    /// A call begins (once per call, not per attempt).
    pub fn deposit(&self) {
        unimplemented!()
    }

    /// Leave for one more attempt from the expert's budget and from this one; from neither if one of them is empty.
    pub fn withdraw(&self, expert: &Budget, ratio: f32) -> Result<(), Denied> {
        let _ = (expert, ratio);
        unimplemented!()
    }
}

impl Default for GlobalBudget {
    fn default() -> Self {
        Self::new()
    }
}
