//! A translator in two graphs that knows a few words by heart. The encoder's keys and values are the source's token ids; the
//! decoder writes one word for each, and adds up three tables of logits for it:
//!
//! ```text
//! logits = TRANSLATIONS[source token at this place] + AFTER[last token] + AFTER_NEXT[the token before the last]
//! ```
//!
//! The last comes from the decoder's own memory, and the place is the length of it: a caller who mixes up rows, beams, layers,
//! keys with values, or the source with the answer, gets another text.

use super::onnx::{self, Attribute, Element, Graph, Node, Outlet, Tensor};
use super::{FOREVER, NAN, PAD, UNKNOWN, WEIGHT, spin};

/// What the decoder sees first; it is padding, as in Marian's models.
pub const START: u32 = PAD;
/// Ends a text, and each source.
pub const END: u32 = 4;

/// The words, with their token ids: [`FIRST_WORD`] and those that follow.
pub const WORDS: [&str; 14] = [
    "one", "two", "eins", "zwei",    // word for word
    "silence", // is not answered at all
    "again",   // begins what never ends
    "fork", "tine", "tip", // where greedy search takes the wrong turn
    "a", "b", "x", "y", "z",
];
/// Token id of the first of [`WORDS`].
pub const FIRST_WORD: u32 = 5;
/// Tokens that the model knows.
pub const VOCABULARY: usize = FIRST_WORD as usize + WORDS.len();

/// The probability of `a` after `fork`; that of `b` is what is left.
pub const LEFT: f32 = 0.6;

/// Layers of the memory.
pub const LAYERS: usize = 2;
const WIDTH: usize = 1;
/// Leaves nothing to other tokens.
const CERTAIN: f32 = 40.0;
/// The strongest wish of all.
const SURE: f32 = 2.0 * CERTAIN;

/// Token id of a word.
pub fn id(word: &str) -> u32 {
    let idx = WORDS.iter().position(|known| *known == word).expect("one of the words");
    FIRST_WORD + u32::try_from(idx).expect("a few words")
}

/// Logits by token, for one table.
struct Table(Vec<f32>);

impl Table {
    fn new() -> Self {
        Self(vec![0.0; VOCABULARY * VOCABULARY])
    }

    fn set(mut self, row: u32, token: u32, logit: f32) -> Self {
        self.0[row as usize * VOCABULARY + token as usize] = logit;
        self
    }

    fn tensor(&self, name: &str) -> Tensor {
        Tensor::f32(name, &[VOCABULARY as i64, VOCABULARY as i64], &self.0)
    }
}

fn translations() -> Table {
    let mut table = Table::new()
        .set(id("one"), id("eins"), WEIGHT)
        .set(id("two"), id("zwei"), WEIGHT)
        .set(UNKNOWN, UNKNOWN, WEIGHT)
        .set(id("silence"), END, SURE)
        .set(id("again"), id("again"), CERTAIN)
        .set(id("fork"), id("a"), CERTAIN + LEFT.ln())
        .set(id("fork"), id("b"), CERTAIN + (1.0 - LEFT).ln())
        // What is behind the source, too: padding.
        .set(PAD, END, CERTAIN)
        .set(END, END, CERTAIN);
    table.0[NAN as usize * VOCABULARY..][..VOCABULARY].fill(f32::NAN);
    table
}

fn after() -> Table {
    Table::new()
        .set(id("again"), id("again"), SURE)
        .set(id("a"), id("x"), CERTAIN)
        .set(id("a"), id("y"), CERTAIN)
        .set(id("b"), id("z"), CERTAIN)
        // Nobody may say what only the model uses.
        .set(UNKNOWN, PAD, SURE)
}

fn after_next() -> Table {
    Table::new().set(id("a"), id("one"), CERTAIN).set(id("b"), id("two"), CERTAIN)
}

/// Of a layer's memory: `.key` and `.value`.
fn slots(prefix: &str, of: &str) -> Vec<String> {
    let parts = |layer| ["key", "value"].map(|part| format!("{prefix}.{layer}.{of}.{part}"));
    (0..LAYERS).flat_map(parts).collect()
}

fn memory(name: &str, length: &str) -> Outlet {
    Outlet::new(name, Element::F32, &["batch"]).with_length(1).with_axis(length).with_length(WIDTH)
}

fn text(name: &str) -> Outlet {
    Outlet::new(name, Element::I64, &["batch", "tokens"])
}

/// `encoder_model.onnx` as ours are: `input_ids`, `attention_mask` -> `present.{i}.encoder.{key,value}`.
pub fn encoder() -> Vec<u8> {
    let names = slots("present", "encoder");
    let mut graph = read();
    graph.nodes.push(Node::new("Unsqueeze", &["read", "outer_axes"], &["column"]));
    graph.initializers.push(Tensor::i64("outer_axes", &[2], &[1, 3]));
    graph.nodes.extend(names.iter().map(|name| Node::new("Identity", &["column"], &[name])));
    graph.outputs = names.iter().map(|name| memory(name, "tokens")).collect();
    onnx::encode(graph)
}

/// `encoder_model.onnx` as optimum exports it: `input_ids`, `attention_mask` -> `last_hidden_state`.
pub fn hidden_encoder() -> Vec<u8> {
    let mut graph = read();
    graph.nodes.push(Node::new("Unsqueeze", &["read", "last_axis"], &["last_hidden_state"]));
    graph.initializers.push(Tensor::i64("last_axis", &[1], &[2]));
    graph.outputs =
        vec![Outlet::new("last_hidden_state", Element::F32, &["batch", "tokens"]).with_length(WIDTH)];
    onnx::encode(graph)
}

/// The token ids as numbers, after an endless while for a text with `forever`.
fn read() -> Graph {
    Graph {
        name: "read".into(),
        nodes: vec![
            Node::new("Mul", &["input_ids", "attention_mask"], &["kept"]),
            cast("kept", "ids", Element::F32),
            Node::new("Equal", &["input_ids", "forever"], &["is_forever"]),
            cast("is_forever", "one_if_forever", Element::I64),
            Node::new("ReduceMax", &["one_if_forever"], &["any_forever"]).with(Attribute::int("keepdims", 0)),
            Node::new("Mul", &["any_forever", "lifetime"], &["trips"]),
            Node::new("Loop", &["trips", "always", "ids"], &["read"]).with(Attribute::graph("body", spin())),
        ],
        initializers: vec![
            Tensor::i64("forever", &[], &[i64::from(FOREVER)]),
            Tensor::i64("lifetime", &[], &[1 << 48]),
            Tensor::bool("always", true),
        ],
        inputs: vec![text("input_ids"), text("attention_mask")],
        outputs: Vec::new(),
    }
}

/// `decoder_with_past_model.onnx`: one token of each row, and what was read before it.
pub fn decoder() -> Vec<u8> {
    let (own, source) = (slots("past_key_values", "decoder"), slots("past_key_values", "encoder"));
    let mut graph = write(&own, &source);
    graph.inputs.extend(own.iter().map(|name| memory(name, "past")));
    graph.inputs.extend(source.iter().map(|name| memory(name, "source")));
    onnx::encode(graph)
}

/// `decoder_model.onnx` of optimum's exports: the first step, which makes the memory of what the encoder gave.
pub fn first_decoder() -> Vec<u8> {
    let (own, source) = (slots("past_key_values", "decoder"), slots("present", "encoder"));
    let mut graph = write(&own, &source);
    graph
        .inputs
        .push(Outlet::new("encoder_hidden_states", Element::F32, &["batch", "source"]).with_length(WIDTH));
    let mut nodes = vec![
        Node::new("Unsqueeze", &["encoder_hidden_states", "head_axis"], &["heads"]),
        Node::new("Slice", &["heads", "nothing", "nothing", "place_axis"], &["no_past"]),
    ];
    nodes.extend(own.iter().map(|name| Node::new("Identity", &["no_past"], &[name])));
    nodes.extend(source.iter().map(|name| Node::new("Identity", &["heads"], &[name])));
    nodes.append(&mut graph.nodes);
    graph.nodes = nodes;
    graph.initializers.extend([Tensor::i64("head_axis", &[1], &[1]), Tensor::i64("nothing", &[1], &[0])]);
    graph.outputs.extend(source.iter().map(|name| memory(name, "source")));
    onnx::encode(graph)
}

/// A step, whose memory is called `own` and `source`.
fn write(own: &[String], source: &[String]) -> Graph {
    let presents = slots("present", "decoder");
    let mean = |names: &[String], of: &str| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Node::new("Mean", &names, &[of])
    };
    let mut nodes = vec![
        mean(own, "own"),
        mean(source, "source"),
        // The source token at this place, which is as far on as the memory is long.
        Node::new("Shape", &["own"], &["place"])
            .with(Attribute::int("start", 2))
            .with(Attribute::int("end", 3)),
        Node::new("Shape", &["encoder_attention_mask"], &["n_source"])
            .with(Attribute::int("start", 1))
            .with(Attribute::int("end", 2)),
        Node::new("Squeeze", &["n_source"], &["n_source_scalar"]),
        Node::new("Range", &["zero", "n_source_scalar", "one"], &["places"]),
        Node::new("Equal", &["places", "place"], &["is_here"]),
        cast("is_here", "here", Element::F32),
        cast("encoder_attention_mask", "source_mask", Element::F32),
        Node::new("Squeeze", &["source", "outer_axes"], &["source_ids"]),
        Node::new("Mul", &["source_ids", "source_mask"], &["masked"]),
        Node::new("Mul", &["masked", "here"], &["here_only"]),
        Node::new("ReduceSum", &["here_only", "second_axis"], &["source_token"]),
        cast("source_token", "source_token_id", Element::I64),
        Node::new("Gather", &["translations", "source_token_id"], &["translated"]),
        Node::new("Gather", &["after", "input_ids"], &["wanted_after"]),
        // The token before the last: padding while there is none.
        Node::new("Slice", &["own", "last", "end", "place_axis"], &["before"]),
        Node::new("ReduceSum", &["before", "inner_axes"], &["before_token"])
            .with(Attribute::int("keepdims", 0)),
        cast("before_token", "before_token_id", Element::I64),
        Node::new("Gather", &["after_next", "before_token_id"], &["wanted_after_next"]),
        Node::new("Sum", &["translated", "wanted_after", "wanted_after_next"], &["logits"]),
        // What was read now is remembered.
        cast("input_ids", "read", Element::F32),
        Node::new("Unsqueeze", &["read", "outer_axes"], &["column"]),
    ];
    let remember = |(past, present): (&String, &String)| {
        Node::new("Concat", &[past, "column"], &[present]).with(Attribute::int("axis", 2))
    };
    nodes.extend(own.iter().zip(&presents).map(remember));
    let mut outputs = vec![Outlet::new("logits", Element::F32, &["batch", "tokens"]).with_length(VOCABULARY)];
    outputs.extend(presents.iter().map(|name| memory(name, "present")));
    Graph {
        name: "write".into(),
        nodes,
        initializers: vec![
            translations().tensor("translations"),
            after().tensor("after"),
            after_next().tensor("after_next"),
            Tensor::i64("zero", &[], &[0]),
            Tensor::i64("one", &[], &[1]),
            Tensor::i64("last", &[1], &[-1]),
            Tensor::i64("end", &[1], &[i64::MAX]),
            Tensor::i64("second_axis", &[1], &[1]),
            Tensor::i64("place_axis", &[1], &[2]),
            Tensor::i64("outer_axes", &[2], &[1, 3]),
            Tensor::i64("inner_axes", &[2], &[1, 2]),
        ],
        inputs: vec![
            text("input_ids"),
            Outlet::new("encoder_attention_mask", Element::I64, &["batch", "source"]),
        ],
        outputs,
    }
}

fn cast(from: &str, to: &str, element: Element) -> Node {
    Node::new("Cast", &[from], &[to]).with(Attribute::int("to", element as i64))
}
