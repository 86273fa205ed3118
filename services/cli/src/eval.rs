//! `nanogrid eval`: how good an expert is on somebody's own rows, how fast, and what it takes for what.
//!
//! ```text
//! source -> rows (a thread) -> ask (so many at once) -> tally -> report
//! ```
//!
//! Rows are read as they are asked about: a file may be larger than the memory.

mod answer;
mod ask;
mod host;
mod matrix;
mod progress;
mod render;
mod report;
mod rows;
mod source;
mod target;

use std::{collections::HashMap, num::NonZeroUsize, path::PathBuf, pin::pin};

use clap::{Args, ValueEnum};
use futures::StreamExt;
use nanogrid_evaluation::{Format, Layout, Offsets, Refused, Wanted};
use nanogrid_settings::Task;
use tokio::time::Instant;

use self::{
    ask::{Asked, Asker, Input},
    progress::Progress,
    report::Report,
    rows::Rows,
    target::Target,
};
use crate::{
    Global,
    error::{Error, Exit},
    print,
};

const HELP: &str = "The file, plain or packed as .xz or .gz:
  .tsv     fields between tabs, taken as they are; the first line names the columns
  .jsonl   one object a line: {\"text\": \"..\", \"label\": \"..\"}, or \"label\": [\"..\", ..] where several may be right
           for spans {\"tokens\": [\"..\"], \"tags\": [\"B-person\", \"O\"]}, or {\"text\": \"..\", \"spans\": [{\"entity\": \"..\",
           \"start\": 0, \"end\": 5}]}
           for texts {\"text\": \"..\", \"reference\": \"..\"}
  For an expert for images, the column `image` holds paths, beside the file where they are relative.

Rows go to the expert over the Open Inference Protocol, one a request, as the first that a busy grid refuses; what it
refuses for that reason is sent again. A time is that of the answered request alone.

What is measured:
  accuracy   rows answered exactly right, with Wilson's 95 % interval; of the rows that were answered at all
  macro-F1   mean F1 of the labels in the data, micro-F1 of all labels or spans together; 95 % by 1000 resamples
  A span counts when its first and last byte and its entity are right.
  chrF       of texts: how far they agree with the reference in sequences of 1 to 6 characters, 0 to 100, as sacreBLEU
             counts it; accuracy is the share of texts that are equal to it

Exit codes:
  0  every row was answered
  1  the file, the package or the grid cannot be used
  2  wrong usage
  3  some rows were not answered, or it was stopped; the measures are those of the others

Examples:
  nanogrid eval --expert sentiment --data reviews.tsv --rename 0=negative --rename 1=positive
  nanogrid eval --package experts/catalog/intent/2 --data dev.tsv.xz --label-column intent
  nanogrid eval --expert entities --data dev.jsonl.xz --rename PER=person --json";

/// Test an expert on your own data: accuracy with intervals, a table of labels, confusions, speed.
#[derive(Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Eval {
    /// The expert; with --package it may be left out
    #[arg(long, value_name = "NAME", required_unless_present = "package")]
    expert: Option<String>,
    /// Rows with what is right about them: .tsv or .jsonl, also packed as .xz or .gz; `-` = stdin
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Test this package instead of a running grid: the folder of an expert, of a version, or of an export
    #[arg(long, value_name = "DIR")]
    package: Option<PathBuf>,
    /// The version to ask [default: as the grid splits its traffic; of a package, its default]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// What the lines are, where the name of the file does not say
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Column, or key, of the texts [default: text, or image]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column, or key, of the labels [default: label; for spans: tags or spans; for texts: reference]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Several labels may be right, and this is between them, e.g. `,`
    #[arg(long, value_name = "TEXT")]
    separator: Option<String>,
    /// Only rows with this value in this column; can be given several times
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = pair)]
    only: Vec<(String, String)>,
    /// A label or entity of the file is called otherwise by the expert (`O`: it knows none); can be given several times
    #[arg(long, value_name = "FROM=TO", value_parser = pair)]
    rename: Vec<(String, String)>,
    /// The label that says that no other fits: told apart, and no part of F1 [default: as the package says]
    #[arg(long, value_name = "LABEL")]
    none: Option<String>,
    /// Offsets of spans in the file count bytes of UTF-8, not characters
    #[arg(long)]
    byte_offsets: bool,
    /// Take labels and spans from this score only, 0 to 1 [default: the best label; of several, those from 0.5]
    #[arg(long, value_name = "SCORE", value_parser = score)]
    threshold: Option<f32>,
    /// Stop after so many rows
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// So many rows at the same time
    #[arg(long, default_value = "4", value_name = "N")]
    concurrency: NonZeroUsize,
    /// Go on without rows that cannot be read, and count them
    #[arg(long)]
    skip_bad: bool,
    /// Draws the resamples of the intervals
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    Tsv,
    Jsonl,
}

/// What became of a line.
enum Done {
    Asked(Asked),
    Refused(Refused),
}

impl Eval {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        let format = self.format()?;
        let target = Target::find(&self, global).await?;
        let (layout, input) = self.layout(format, target.task)?;
        let mut report = Report::new(&self, &target);
        let asker = Asker::new(&target, input, self.threshold);
        let progress = Progress::of(&self.data, self.limit);
        let rows = Rows::read(&self.data, layout, &progress, self.limit)?;
        let started = Instant::now();
        let mut done = rows
            .stream()
            .map(async |read| match read {
                Ok(row) => Done::Asked(asker.ask(row).await),
                Err(refused) => Done::Refused(refused),
            })
            .buffer_unordered(self.concurrency.get());
        let mut stop = pin!(nanogrid_serving::shutdown_signal());
        loop {
            let next = tokio::select! {
                next = done.next() => next,
                () = &mut stop => {
                    report.stopped = true;
                    None
                }
            };
            match next {
                Some(Done::Asked(asked)) => report.add(asked).map_err(|error| self.wrong_data(&error))?,
                Some(Done::Refused(refused)) => self.refused(refused, &mut report)?,
                None => break,
            }
            progress.show(report.n_done(), report.so_far());
        }
        report.took = started.elapsed();
        progress.end();
        if global.json {
            print::json(&report.to_json());
        } else {
            print::out(&render::text(&report));
        }
        Ok(report.exit())
    }

    fn format(&self) -> Result<Format, Error> {
        let said = self.format.map(|format| match format {
            FormatArg::Tsv => Format::Tsv,
            FormatArg::Jsonl => Format::JsonLines,
        });
        said.or_else(|| Format::of(&self.data)).ok_or_else(|| Error::Data {
            path: self.data.clone(),
            problem: "its name does not say what it is, .tsv or .jsonl: say it with --format".to_owned(),
        })
    }

    /// What to read, and what it is to the expert.
    fn layout(&self, format: Format, task: Task) -> Result<(Layout, Input), Error> {
        let (wanted, input) = match task {
            Task::TextClassification => (Wanted::Labels, Input::Text),
            // A model with two heads has labels for the whole text as well: whoever names their column means them.
            Task::TokenClassification if self.label_column.is_some() => (Wanted::Labels, Input::Text),
            Task::TokenClassification => (Wanted::Spans, Input::Text),
            Task::ImageClassification => (
                Wanted::Labels,
                Input::Image { beside: self.data.parent().map(PathBuf::from).unwrap_or_default() },
            ),
            Task::TextToText => (Wanted::Text, Input::Text),
            Task::Embedding | Task::SpeechToText | Task::TextToSpeech | Task::Series | Task::Tensor => {
                let problem = format!(
                    "an expert for {task} cannot be tested like this: labels, spans and texts can, of text-classification, \
                     token-classification, image-classification and text-to-text"
                );
                return Err(Error::Package { problem });
            }
        };
        let mut layout = Layout::new(format, wanted);
        if let Input::Image { .. } = input {
            "image".clone_into(&mut layout.text);
        }
        layout.text = self.text_column.clone().unwrap_or(layout.text);
        layout.label = self.label_column.clone().unwrap_or(layout.label);
        layout.separator = self.separator.clone().filter(|separator| !separator.is_empty());
        layout.rename = self.rename.iter().cloned().collect::<HashMap<_, _>>();
        layout.only = self.only.clone();
        if self.byte_offsets {
            layout.offsets = Offsets::Bytes;
        }
        Ok((layout, input))
    }

    fn refused(&self, refused: Refused, report: &mut Report) -> Result<(), Error> {
        let path = self.data.clone();
        match refused {
            Refused::Row { line, problem } if self.skip_bad => {
                report.skip(line, problem);
                Ok(())
            }
            Refused::Row { line, problem } => Err(Error::Row { path, line, problem }),
            Refused::Header { problem } => Err(Error::Data {
                path,
                problem: format!("{problem}; name others with --text-column and --label-column"),
            }),
            Refused::File { line, source } => {
                Err(Error::Data { path, problem: format!("cannot be read behind line {line}: {source}") })
            }
        }
    }

    fn wrong_data(&self, error: &nanogrid_evaluation::TooManyLabels) -> Error {
        Error::Data {
            path: self.data.clone(),
            problem: format!("{error}; name their column with --label-column"),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "must have a `=`".to_owned())
}

fn score(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|score| (0.0..=1.0).contains(score));
    score.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}
