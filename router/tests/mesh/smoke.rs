use std::time::Duration;

use crate::{
    load::Load,
    mesh::{Mesh, replicas},
};

#[test]
fn smoke() {
    let mut mesh = Mesh::start(&[replicas("intent", 3)]);
    let every = Duration::from_millis(10);
    mesh.load(Load { every, deadline: Duration::from_millis(500), experts: vec!["intent"] });
    let real = std::time::Instant::now();
    mesh.pass(Duration::from_secs(10));
    println!("{:?}", real.elapsed());
    let (checked, experts) = mesh.end();
    for e in &experts { println!("{}", e.n_calls()); }
    println!("{}", checked.len());
    checked.assert_lost_at_most(0);
}
