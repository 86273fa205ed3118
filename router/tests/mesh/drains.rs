//! Endpoints that say when they go.

use crate::{
    load::steady,
    mesh::{Mesh, replicas, secs},
};

#[test]
fn a_rolling_restart_of_two_endpoints_loses_no_request() {
    let mut mesh = Mesh::start(&[replicas("intent", 2)]);
    mesh.load(steady(&["intent"]));
    mesh.pass(secs(2));
    for i in [0, 1, 0, 1] {
        mesh.experts[i].drain();
        // As long as clients need to hear of it, and then until it is gone.
        mesh.pass(secs(1));
        let draining = mesh.pass(secs(1));
        assert_eq!(draining[i], 0, "{draining:?}");
        mesh.pass(secs(3));
        assert!(!mesh.experts[i].is_up(), "nothing keeps it");
        mesh.restart(i);
        mesh.pass(secs(2));
        let back = mesh.pass(secs(2));
        assert!(back[i] > 0, "{back:?}");
    }
    mesh.end().0.assert_lost_at_most(0);
}
