//! Tiny ONNX graphs whose answers a test can work out in its head, made here because a binary file in git cannot be
//! reviewed and because no exporter is at hand in a Rust test.
//!
//! The text classifier counts words: every word that is a label adds [`WEIGHT`] to that label's logit. Two words do
//! something else, so that every test can ask for trouble by text alone: `forever` never ends, and `nan` is no number.

pub mod encoder_decoder;
pub mod images;
mod onnx;

use onnx::{Attribute, Element, Graph, Node, Outlet, Tensor};

/// What one occurrence of a label in a text adds to its logit.
pub const WEIGHT: f32 = 4.0;
/// Token id of padding; adds nothing.
pub const PAD: u32 = 0;
/// Token id of every word that is no label; adds nothing.
pub const UNKNOWN: u32 = 1;
/// Token id of `forever`: a run that sees it ends only when it is stopped.
pub const FOREVER: u32 = 2;
/// Token id of `nan`: makes every logit of its row NaN.
pub const NAN: u32 = 3;
/// Token id of the first label; the others follow.
pub const FIRST_LABEL: u32 = 4;

/// `input_ids`, `attention_mask` -> `logits`, as described above.
pub fn text_classifier(n_labels: usize) -> Vec<u8> {
    let mut table = vec![0.0; (FIRST_LABEL as usize + n_labels) * n_labels];
    table[NAN as usize * n_labels..][..n_labels].fill(f32::NAN);
    for label in 0..n_labels {
        table[(FIRST_LABEL as usize + label) * n_labels + label] = WEIGHT;
    }
    let text = ["batch", "tokens"];
    let graph = Graph {
        name: "words".into(),
        nodes: vec![
            Node::new("Gather", &["table", "input_ids"], &["vectors"]),
            Node::new("Cast", &["attention_mask"], &["mask"]).with(Attribute::int("to", Element::F32 as i64)),
            Node::new("Unsqueeze", &["mask", "last_axis"], &["column"]),
            Node::new("Mul", &["vectors", "column"], &["kept"]),
            Node::new("ReduceSum", &["kept", "token_axis"], &["counts"]).with(Attribute::int("keepdims", 0)),
            // Zero trips for a text without `forever`, and more than a lifetime for one with it.
            Node::new("Equal", &["input_ids", "forever"], &["is_forever"]),
            Node::new("Cast", &["is_forever"], &["one_if_forever"])
                .with(Attribute::int("to", Element::I64 as i64)),
            Node::new("ReduceMax", &["one_if_forever"], &["any_forever"]).with(Attribute::int("keepdims", 0)),
            Node::new("Mul", &["any_forever", "lifetime"], &["trips"]),
            Node::new("Loop", &["trips", "always", "counts"], &["logits"])
                .with(Attribute::graph("body", spin())),
        ],
        initializers: vec![
            Tensor::f32("table", &[(FIRST_LABEL as usize + n_labels) as i64, n_labels as i64], &table),
            Tensor::i64("last_axis", &[1], &[2]),
            Tensor::i64("token_axis", &[1], &[1]),
            Tensor::i64("forever", &[], &[i64::from(FOREVER)]),
            Tensor::i64("lifetime", &[], &[1 << 48]),
            Tensor::bool("always", true),
        ],
        inputs: vec![
            Outlet::new("input_ids", Element::I64, &text),
            Outlet::new("attention_mask", Element::I64, &text),
        ],
        outputs: vec![Outlet::new("logits", Element::F32, &["batch"]).with_length(n_labels)],
    };
    onnx::encode(graph)
}

/// `input_ids`, `attention_mask` -> `logits` per token: a word that is a label has that label, any other the first one. With
/// `n_texts`, also `text_logits`: of the words that follow the labels in the vocabulary, each counts for its own label of
/// the whole text.
pub fn token_classifier(n_labels: usize, n_texts: usize) -> Vec<u8> {
    let n_words = FIRST_LABEL as usize + n_labels + n_texts;
    let one_hot = |width: usize, of_word: &dyn Fn(usize) -> Option<usize>| {
        let mut table = vec![0.0; n_words * width];
        for word in 0..n_words {
            if let Some(label) = of_word(word) {
                table[word * width + label] = WEIGHT;
            }
        }
        table[NAN as usize * width..][..width].fill(f32::NAN);
        table
    };
    let first = FIRST_LABEL as usize;
    let tags = one_hot(n_labels, &|word| {
        let is_label = (first..first + n_labels).contains(&word);
        (word != PAD as usize).then_some(if is_label { word - first } else { 0 })
    });
    let texts = one_hot(n_texts, &|word| word.checked_sub(first + n_labels));
    let mut graph = Graph {
        name: "tags".into(),
        nodes: vec![Node::new("Gather", &["tags", "input_ids"], &["logits"])],
        initializers: vec![Tensor::f32("tags", &[n_words as i64, n_labels as i64], &tags)],
        inputs: vec![
            Outlet::new("input_ids", Element::I64, &["batch", "tokens"]),
            Outlet::new("attention_mask", Element::I64, &["batch", "tokens"]),
        ],
        outputs: vec![Outlet::new("logits", Element::F32, &["batch", "tokens"]).with_length(n_labels)],
    };
    if n_texts > 0 {
        graph.nodes.extend([
            Node::new("Gather", &["texts", "input_ids"], &["vectors"]),
            Node::new("Cast", &["attention_mask"], &["mask"]).with(Attribute::int("to", Element::F32 as i64)),
            Node::new("Unsqueeze", &["mask", "last_axis"], &["column"]),
            Node::new("Mul", &["vectors", "column"], &["kept"]),
            Node::new("ReduceSum", &["kept", "token_axis"], &["text_logits"])
                .with(Attribute::int("keepdims", 0)),
        ]);
        graph.initializers.extend([
            Tensor::f32("texts", &[n_words as i64, n_texts as i64], &texts),
            Tensor::i64("last_axis", &[1], &[2]),
            Tensor::i64("token_axis", &[1], &[1]),
        ]);
        graph.outputs.push(Outlet::new("text_logits", Element::F32, &["batch"]).with_length(n_texts));
    }
    onnx::encode(graph)
}

/// A loop body that hands its state on unchanged. ONNX Runtime looks at its terminate flag before every node.
fn spin() -> Graph {
    Graph {
        name: "spin".into(),
        nodes: vec![
            Node::new("Identity", &["go_on"], &["still"]),
            Node::new("Identity", &["state"], &["next_state"]),
        ],
        initializers: Vec::new(),
        inputs: vec![
            Outlet::new("trip", Element::I64, &[]),
            Outlet::new("go_on", Element::Bool, &[]),
            Outlet::new("state", Element::F32, &["batch", "labels"]),
        ],
        outputs: vec![
            Outlet::new("still", Element::Bool, &[]),
            Outlet::new("next_state", Element::F32, &["batch", "labels"]),
        ],
    }
}

/// Vectors `a` and `b` -> their `sum`; vectors of different length fail inside ONNX Runtime.
pub fn add() -> Vec<u8> {
    onnx::encode(Graph {
        name: "add".into(),
        nodes: vec![Node::new("Add", &["a", "b"], &["sum"])],
        initializers: Vec::new(),
        inputs: vec![Outlet::new("a", Element::F32, &["n"]), Outlet::new("b", Element::F32, &["m"])],
        outputs: vec![Outlet::new("sum", Element::F32, &["k"])],
    })
}

/// One input of each element type that the wire knows, handed back under the name `<type>_out`.
pub fn echo() -> Vec<u8> {
    let types = Element::ALL;
    onnx::encode(Graph {
        name: "echo".into(),
        nodes: types
            .iter()
            .map(|(name, _)| Node::new("Identity", &[name], &[&format!("{name}_out")]))
            .collect(),
        initializers: Vec::new(),
        inputs: types.iter().map(|(name, element)| Outlet::new(name, *element, &["n"])).collect(),
        outputs: types
            .iter()
            .map(|(name, element)| Outlet::new(&format!("{name}_out"), *element, &["n"]))
            .collect(),
    })
}

/// The element types of [`echo`], by their names on the wire.
pub fn datatypes() -> impl Iterator<Item = &'static str> {
    Element::ALL.into_iter().map(|(name, _)| name)
}
