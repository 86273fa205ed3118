//! The task behind an endpoint: one connection after another, for as long as the endpoint is in the grid.

use std::{sync::Arc, time::Duration};

use nanogrid_resilience::Backoff;
use nanogrid_serving::Network;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::{
    Connection, Endpoint, State,
    pool::Claim,
    probe::{self, Ended},
};

/// A restarted expert is in use again within about this.
const SLOWEST_RETRY: Duration = Duration::from_secs(1);
const FASTEST_RETRY: Duration = Duration::from_millis(25);
/// Memory moves slowly, and a list of experts should not be older than a person would notice.
const REFRESH: Duration = Duration::from_secs(2);
/// Until an endpoint that was silent answers again: calls keep away from it so long.
const ASK_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn run(endpoint: Arc<Endpoint>, network: Network) {
    let backoff = Backoff::new(FASTEST_RETRY, SLOWEST_RETRY);
    let mut failures = 0;
    loop {
        let ended = match connect(&endpoint, &network).await {
            Ok((channel, claim)) => {
                failures = 0;
                session(&endpoint, &channel, &claim).await
            }
            Err(ended) => ended,
        };
        endpoint.set_state(match ended {
            Ended::Lost(reason) => State::Connecting { reason },
            Ended::NotServing(reason) => State::NotServing { reason },
            Ended::Refused(reason) => State::Refused { reason },
        });
        sleep(backoff.delay(failures)).await;
        failures += 1;
    }
}

/// A connection to what the grid file says it is.
async fn connect(endpoint: &Endpoint, network: &Network) -> Result<(Channel, Claim), Ended> {
    let address = &endpoint.identity.address;
    let uri = format!("http://{address}");
    let transport = nanogrid_serving::endpoint(&uri).map_err(|error| Ended::Refused(error.to_string()))?;
    let connected = network.connect(&transport).await;
    let channel = connected.map_err(|error| Ended::Lost(probe::innermost(&error)))?;
    let facts = probe::identify(&channel, &endpoint.identity).await?;
    let claim = endpoint.pool.claim(&facts.labels_sha256, address).map_err(Ended::Refused)?;
    endpoint.set_facts(facts);
    Ok((channel, claim))
}

/// What happens on one connection until it ends.
async fn session(endpoint: &Endpoint, channel: &Channel, claim: &Claim) -> Ended {
    let health = probe::follow_health(channel, &endpoint.identity, |serves| {
        endpoint.set_state(if serves {
            State::Ready { connection: Connection::Grpc(channel.clone()) }
        } else {
            let reason = "it says that it does not serve (loading, or draining)".to_owned();
            State::NotServing { reason }
        });
    });
    tokio::select! {
        ended = health => ended,
        ended = refresh(endpoint, channel, claim) => ended,
    }
}

/// Keeps what the endpoint tells of itself fresh, and notices when it becomes something else, or says nothing any more.
async fn refresh(endpoint: &Endpoint, channel: &Channel, claim: &Claim) -> Ended {
    let mut was_silent = false;
    loop {
        if was_silent {
            sleep(ASK_AGAIN).await;
        } else {
            // A call that waits for too long is a reason to ask now.
            let _ = timeout(REFRESH, endpoint.history.doubted()).await;
        }
        match probe::identify(channel, &endpoint.identity).await {
            Ok(facts) if !claim.is_for(&facts.labels_sha256) => {
                return Ended::Lost("its labels have changed".to_owned());
            }
            Ok(facts) => {
                endpoint.set_facts(facts);
                if was_silent {
                    endpoint.is_back();
                }
                endpoint.history.is_heard();
                was_silent = false;
            }
            Err(ended @ (Ended::Refused(_) | Ended::NotServing(_))) => return ended,
            // Slow to answer is not gone: the connection's own keepalive decides that.
            Err(Ended::Lost(_)) => {
                endpoint.history.is_unresponsive();
                was_silent = true;
            }
        }
    }
}
