//! What the parts cost that run for every call.

use criterion::{Criterion, criterion_group, criterion_main};

fn hot_path(_: &mut Criterion) {}

criterion_group!(benches, hot_path);
criterion_main!(benches);
