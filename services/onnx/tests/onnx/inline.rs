use std::{num::NonZeroUsize, thread};

use nanogrid_onnx::{Inline, Package, RunError, Text};
use nanogrid_testkit::{graphs::WEIGHT, packages};
use tempfile::tempdir;

#[test]
fn any_number_of_threads_may_ask_a_few_sessions() {
    nanogrid_onnx::init(None).unwrap_or_else(|error| panic!("{error}"));
    let dir = tempdir().unwrap();
    let package = Package::open(&packages::text_classifier(dir.path(), "words", &["alpha", "beta"])).unwrap();
    let text = Text::load(&package).unwrap();
    let inline = Inline::load(&package, NonZeroUsize::new(2).unwrap()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(inline.run(&text.encode("alpha").unwrap()).unwrap(), [WEIGHT, 0.0]);
                    assert_eq!(inline.run(&text.encode("").unwrap()).unwrap(), [0.0, 0.0]);
                }
            });
        }
    });
    let error = inline.run(&text.encode("nan").unwrap()).unwrap_err();
    assert!(matches!(error, RunError::Failed(why) if why.contains("not a finite number")));
}
