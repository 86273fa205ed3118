//! Finds the moment at which the grid as a whole answers: the router has reached every expert that is ready. An expert
//! that cannot start does not keep the others from being used.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    client::Grid,
    up::board::{Board, Level, State},
};

/// Between two looks at what the router has reached.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Says when the grid answers; never returns.
pub(crate) async fn run(board: &Board) {
    let mut state = board.watch();
    let has_started =
        |state: &State| state.processes.iter().all(|process| process.has_started() || process.is_failing());
    if state.wait_for(has_started).await.is_ok() {
        while !has_reached_all(&state.borrow().clone()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        board.settled();
        board.say(Level::Info, summary(&state.borrow()));
    }
    std::future::pending().await
}

async fn has_reached_all(state: &State) -> bool {
    let served = state.processes.iter().skip(1).flat_map(|process| &process.serves);
    let wanted: BTreeSet<&str> =
        served.filter(|served| served.is_ready()).map(|served| served.name.as_str()).collect();
    // A router that cannot start is told by its own lines; nobody can wait for it.
    if state.processes[0].is_failing() {
        return true;
    }
    let Ok(mut grid) = Grid::at(&state.addr.to_string()).await else { return false };
    let Ok(response) = grid.experts().await else { return false };
    let reached: BTreeSet<&str> =
        response.experts.iter().filter(|expert| expert.ready).map(|expert| expert.name.as_str()).collect();
    wanted.is_subset(&reached)
}

fn summary(state: &State) -> String {
    let experts = || state.processes.iter().skip(1).flat_map(|process| &process.serves);
    let (n_ready, n_all) = (experts().filter(|served| served.is_ready()).count(), experts().count());
    format!(
        "the grid answers at {}: {n_ready} of {n_all} experts ready; try `nanogrid infer \"...\"`",
        state.addr
    )
}
