//! What `infer` and `route` send: the same arguments, the same message.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use nanogrid_proto::v1::{Criticality, InferOptions, InferRequest, MergePolicy, infer_request::Payload};

use crate::error::Error;

/// Nothing larger fits into a message of the router's default settings.
const MAX_PAYLOAD: u64 = 64 << 20;

/// A request to the grid.
#[derive(Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    payload: PayloadArgs,
    /// Ask this expert and skip the classifier; may be given more than once
    #[arg(long = "expert", value_name = "NAME")]
    experts: Vec<String>,
    /// What to do with the payload, in words; read by the classifier, not by the experts
    #[arg(long, default_value = "", hide_default_value = true)]
    instruction: String,
    /// Labels per answer, best first
    #[arg(long, default_value_t = 1, value_name = "N")]
    top_k: u32,
    /// Ask at most this many experts [default: as the grid is set]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    max_experts: u32,
    /// Ask an expert from this confidence of the classifier, 0 to 1 [default: as calibrated]
    #[arg(long, value_name = "SCORE")]
    min_confidence: Option<f32>,
    /// What becomes of several answers: keep all, keep the best, or return with the first
    #[arg(long, value_enum, default_value_t)]
    merge: Merge,
    /// Time for the whole request, e.g. 500ms [default: as the grid is set]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    deadline: Option<Duration>,
    /// Requests with the same key see the same version of an expert
    #[arg(long, default_value = "", hide_default_value = true, value_name = "KEY")]
    sticky: String,
    /// Who is shed first under overload
    #[arg(long, value_enum, default_value_t)]
    criticality: CriticalityArg,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct PayloadArgs {
    /// The text; `-` reads it from stdin
    text: Option<String>,
    /// A PNG or JPEG file; `-` = stdin
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// A WAV file; `-` = stdin
    #[arg(long, value_name = "FILE")]
    audio: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Merge {
    #[default]
    All,
    Best,
    First,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum CriticalityArg {
    Sheddable,
    SheddablePlus,
    #[default]
    Critical,
    CriticalPlus,
}

impl Ask {
    pub(crate) fn request(self) -> Result<InferRequest, Error> {
        let options = InferOptions {
            max_experts: self.max_experts,
            min_confidence: self.min_confidence,
            top_k: self.top_k,
            merge: MergePolicy::from(self.merge).into(),
            // A time too long for the message is longer than any grid grants; the grid then decides.
            deadline: self.deadline.and_then(|deadline| deadline.try_into().ok()),
        };
        Ok(InferRequest {
            id: String::new(),
            payload: Some(self.payload.read()?),
            instruction: self.instruction,
            experts: self.experts,
            options: Some(options),
            sticky_key: self.sticky,
            criticality: Criticality::from(self.criticality).into(),
        })
    }
}

impl PayloadArgs {
    fn read(self) -> Result<Payload, Error> {
        match (self.text, self.image, self.audio) {
            (_, Some(path), _) => Ok(Payload::Image(read(&path)?.into())),
            (_, _, Some(path)) => Ok(Payload::Audio(read(&path)?.into())),
            (Some(text), ..) if text != "-" => Ok(Payload::Text(text)),
            (..) => read_text(Path::new("-")).map(Payload::Text),
        }
    }
}

/// One text, without the newline that editors and `echo` put at its end.
fn read_text(path: &Path) -> Result<String, Error> {
    let mut text = String::from_utf8(read(path)?)
        .map_err(|error| Error::NotText { path: shown(path), at: error.utf8_error().valid_up_to() })?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(Error::file("cannot open", path))?)
    };
    source
        .by_ref()
        .take(MAX_PAYLOAD + 1)
        .read_to_end(&mut content)
        .map_err(Error::file("cannot read", shown(path)))?;
    if content.len() as u64 > MAX_PAYLOAD {
        return Err(Error::TooLarge { path: shown(path), limit: MAX_PAYLOAD });
    }
    Ok(content)
}

fn shown(path: &Path) -> PathBuf {
    if path == Path::new("-") { PathBuf::from("standard input") } else { path.to_owned() }
}

impl From<Merge> for MergePolicy {
    fn from(merge: Merge) -> Self {
        match merge {
            Merge::All => Self::All,
            Merge::Best => Self::Best,
            Merge::First => Self::First,
        }
    }
}

impl From<CriticalityArg> for Criticality {
    fn from(criticality: CriticalityArg) -> Self {
        match criticality {
            CriticalityArg::Sheddable => Self::Sheddable,
            CriticalityArg::SheddablePlus => Self::SheddablePlus,
            CriticalityArg::Critical => Self::Critical,
            CriticalityArg::CriticalPlus => Self::CriticalPlus,
        }
    }
}
