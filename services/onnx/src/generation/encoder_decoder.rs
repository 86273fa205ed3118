//! A model in two graphs: the encoder reads the source once, the decoder writes, one token a step.

use std::{borrow::Cow, num::NonZeroUsize, path::Path, sync::Arc};

use nanogrid_settings::package::{GenerationConfig, NumBeams};
use ort::{
    session::{RunOptions, Session, SessionOutputs, builder::PrepackedWeights},
    value::{DynValue, TensorRef},
};

use super::{
    Decoder, Generated, Prompt, Rules, generate,
    interface::{self, HIDDEN, Slots},
    memory::{Memory, failed},
};
use crate::{
    Error, Outlet, Package, RunError,
    package::{DECODER, FIRST_DECODER},
    session::{self, Inputs, run},
    worker::{Caller, Engine, Stop},
};

/// The sessions of one worker.
pub(crate) struct EncoderDecoder {
    encoder: Session,
    decoder: Session,
    /// Of an encoder that leaves keys and values to it.
    first: Option<Session>,
    slots: Slots,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
    rules: Rules,
    stop: Option<Arc<RunOptions>>,
}

impl EncoderDecoder {
    /// Opens the graphs, checks their interfaces, and generates once so that the first request finds them warm.
    pub(crate) fn open(
        package: &Package,
        intra_op_threads: NonZeroUsize,
        weights: Option<&PrepackedWeights>,
    ) -> Result<Self, Error> {
        let (encoder_path, decoder_path) = (package.model(), package.folder.join(DECODER));
        let open = |path: &Path| -> Result<(Session, Vec<Outlet>, Vec<Outlet>), Error> {
            let session = session::open(path, intra_op_threads, weights)?;
            let inputs = session::interface::outlets(path, "input", session.inputs())?;
            let outputs = session::interface::outlets(path, "output", session.outputs())?;
            Ok((session, inputs, outputs))
        };
        let (decoder, takes, gives) = open(&decoder_path)?;
        let slots = interface::decoder(&decoder_path, &takes, &gives)?;
        let (encoder, inputs, outputs) = open(&encoder_path)?;
        session::interface::matches_manifest(package, &inputs, &outputs)?;
        let gives_hidden = interface::encoder(&encoder_path, &inputs, &outputs, &slots)?;
        let first = gives_hidden.then(|| {
            let path = package.folder.join(FIRST_DECODER);
            if !path.is_file() {
                let problem = format!(
                    "gives `{HIDDEN}`, of which {FIRST_DECODER} makes keys and values, and there is none beside it; \
                     add it, or export an encoder that gives `present.{{i}}.encoder.key` and `.value` itself"
                );
                return Err(Error::graph(&encoder_path, problem));
            }
            let (session, takes, gives) = open(&path)?;
            interface::first_decoder(&path, &takes, &gives, &slots)?;
            Ok(session)
        });
        let Some(config) = package.generation else {
            let problem = format!("a package for {} does not say how texts are generated", package.task);
            return Err(Error::graph(&decoder_path, problem));
        };
        let rules = Rules { config, n_vocabulary: 0 };
        let first = first.transpose()?;
        let mut engine = Self { encoder, decoder, first, slots, inputs, outputs, rules, stop: None };
        engine.warm_up(&decoder_path, &package.folder)?;
        Ok(engine)
    }

    /// Inputs and outputs, as the encoder has them.
    pub(crate) fn outlets(&self) -> (Vec<Outlet>, Vec<Outlet>) {
        (self.inputs.clone(), self.outputs.clone())
    }

    /// Learns how many tokens the model knows, from a step with and one without a past whose rows change places; then answers
    /// two rows of different length, greedily and as the package says.
    fn warm_up(&mut self, path: &Path, folder: &Path) -> Result<(), Error> {
        let GenerationConfig { start_token, end_token, pad_token, .. } = self.rules.config;
        let cannot = |problem: RunError| Error::graph(path, format!("cannot be run: {problem}"));
        let n_vocabulary = {
            // The one token that every model has.
            let mut writer = self.read(&[&[0], &[0]]).map_err(cannot)?;
            let first = writer.step(&[0, 0]).map_err(cannot)?.len();
            writer.select(&[1, 0]).map_err(cannot)?;
            let second = writer.step(&[0, 0]).map_err(cannot)?.len();
            if first != second || first % 2 != 0 {
                return Err(Error::graph(
                    path,
                    format!("gives {first} logits, and then {second}; export it again"),
                ));
            }
            first / 2
        };
        for (key, token) in [
            ("decoder_start_token_id", start_token),
            ("eos_token_id", end_token),
            ("pad_token_id", pad_token),
        ] {
            if token as usize >= n_vocabulary {
                let path = folder.join("generation_config.json");
                return Err(Error::file(
                    path,
                    format!(
                        "{key}: must be a token of the model, which has {n_vocabulary}: {token}; it belongs to another model"
                    ),
                ));
            }
        }
        self.rules.n_vocabulary = n_vocabulary;
        let short = GenerationConfig { max_length: 3, ..self.rules.config };
        let rules = Rules { config: short, ..self.rules };
        let (caller, ids) = (Caller::default(), [pad_token; 2]);
        let prompt = |ids, num_beams| Prompt { ids, num_beams, caller: &caller };
        let prompts = [prompt(&ids[..1], NumBeams::GREEDY), prompt(&ids, self.rules.config.num_beams)];
        let mut writer = self.read(&prompts.each_ref().map(|prompt| prompt.ids)).map_err(cannot)?;
        let answers = generate(&mut writer, rules, &prompts).map_err(cannot)?;
        answers.into_iter().try_for_each(|answer| answer.map(drop)).map_err(cannot)
    }

    /// The encoder's part.
    fn read(&mut self, sources: &[&[u32]]) -> Result<Writer<'_>, RunError> {
        let shape @ [n_rows, _] =
            [sources.len(), sources.iter().map(|row| row.len()).max().unwrap_or(0).max(1)];
        let mut ids = Vec::with_capacity(shape[0] * shape[1]);
        let mut mask = Vec::with_capacity(ids.capacity());
        for row in sources {
            ids.extend(row.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + shape[1] - row.len(), self.rules.config.pad_token.into());
            mask.resize(mask.len() + row.len(), 1);
            mask.resize(mask.len() + shape[1] - row.len(), 0);
        }
        let stop = self.stop.as_deref();
        let inputs = vec![
            ("input_ids".into(), TensorRef::from_array_view((shape, &ids[..])).map_err(failed)?.into()),
            ("attention_mask".into(), TensorRef::from_array_view((shape, &mask[..])).map_err(failed)?.into()),
        ];
        let mut outputs = run(&mut self.encoder, stop, inputs)?;
        let seen = match &mut self.first {
            Some(first) => Seen::Hidden { hidden: taken(&mut outputs, HIDDEN)?, first },
            None => Seen::Memory(Memory::take(&mut outputs, &self.slots.source)?),
        };
        Ok(Writer {
            decoder: &mut self.decoder,
            slots: &self.slots,
            stop,
            own: Memory::empty(&self.slots.own, n_rows)?,
            seen,
            source_of: (0..n_rows).collect(),
            mask: Mask { rows: mask, width: shape[1] },
            logits: None,
        })
    }
}

impl Engine for EncoderDecoder {
    fn prepare(&mut self) -> Result<Arc<dyn Stop>, RunError> {
        session::fresh_stop(&mut self.stop)
    }

    fn generate(&mut self, prompts: &[Prompt<'_>]) -> Result<Vec<Result<Generated, RunError>>, RunError> {
        let sources: Vec<_> = prompts.iter().map(|prompt| prompt.ids).collect();
        let rules = self.rules;
        generate(&mut self.read(&sources)?, rules, prompts)
    }
}

/// A decoder with the memory of one batch.
struct Writer<'a> {
    decoder: &'a mut Session,
    slots: &'a Slots,
    stop: Option<&'a RunOptions>,
    own: Memory,
    seen: Seen<'a>,
    /// Which source each live hypothesis is an answer to.
    source_of: Vec<usize>,
    mask: Mask,
    logits: Option<DynValue>,
}

/// What the decoder sees of the sources, one row for each live hypothesis.
enum Seen<'a> {
    /// Until the first step.
    Hidden {
        hidden: DynValue,
        first: &'a mut Session,
    },
    Memory(Memory),
}

struct Mask {
    rows: Vec<i64>,
    width: usize,
}

impl Mask {
    fn select(&mut self, rows: &[usize]) {
        self.rows = rows
            .iter()
            .flat_map(|row| &self.rows[row * self.width..(row + 1) * self.width])
            .copied()
            .collect();
    }
}

impl Decoder for Writer<'_> {
    fn step(&mut self, tokens: &[i64]) -> Result<&[f32], RunError> {
        let ids = TensorRef::from_array_view(([tokens.len(), 1], tokens)).map_err(failed)?;
        let mask = TensorRef::from_array_view(([tokens.len(), self.mask.width], &self.mask.rows[..]))
            .map_err(failed)?;
        let mut inputs: Inputs<'_> =
            vec![("input_ids".into(), ids.into()), ("encoder_attention_mask".into(), mask.into())];
        let (own, logits, seen) = match &mut self.seen {
            Seen::Hidden { hidden, first } => {
                inputs.push(("encoder_hidden_states".into(), (&*hidden).into()));
                let mut outputs = run(first, self.stop, inputs)?;
                let seen = Memory::take(&mut outputs, &self.slots.source)?;
                (Memory::take(&mut outputs, &self.slots.own)?, taken(&mut outputs, "logits")?, Some(seen))
            }
            Seen::Memory(seen) => {
                let slots = self.slots.own.iter().zip(self.own.values());
                for (slot, value) in slots.chain(self.slots.source.iter().zip(seen.values())) {
                    inputs.push((Cow::from(&*slot.past), value.into()));
                }
                let mut outputs = run(self.decoder, self.stop, inputs)?;
                (Memory::take(&mut outputs, &self.slots.own)?, taken(&mut outputs, "logits")?, None)
            }
        };
        self.own = own;
        if let Some(seen) = seen {
            self.seen = Seen::Memory(seen);
        }
        let (shape, logits) = self.logits.insert(logits).try_extract_tensor::<f32>().map_err(failed)?;
        match shape[..] {
            [n, 1, _] if usize::try_from(n) == Ok(tokens.len()) => Ok(logits),
            _ => Err(RunError::Failed(format!(
                "logits: expected shape [{}, 1, -1], found {shape:?}",
                tokens.len()
            ))),
        }
    }

    fn select(&mut self, parents: &[usize]) -> Result<(), RunError> {
        if parents.iter().copied().eq(0..self.source_of.len()) {
            return Ok(());
        }
        self.own.select(parents)?;
        let source_of: Vec<_> = parents.iter().map(|parent| self.source_of[*parent]).collect();
        // Hypotheses of one source that change places see the same of it as before.
        if source_of != self.source_of {
            self.mask.select(parents);
            if let Seen::Memory(seen) = &mut self.seen {
                seen.select(parents)?;
            }
            self.source_of = source_of;
        }
        Ok(())
    }
}

fn taken(outputs: &mut SessionOutputs<'_>, name: &str) -> Result<DynValue, RunError> {
    outputs.remove(name).ok_or_else(|| RunError::Failed(format!("the graph gave no `{name}`")))
}
