//! `nanogrid expert table`: every expert of a catalog in one table, and that table in a README. Nothing in it is written
//! by hand: what a version is worth stands in its version.toml, where it was measured.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use nanogrid_settings::{
    ExpertManifest, VersionManifest,
    package::{Accuracy, Cost, RowSize},
};

use crate::{
    error::{Error, Exit},
    print,
    up::{CATALOG, folders},
};

/// The table stands between these.
const BEGIN: &str = "<!-- the experts: written by `make readme` -->";
const END: &str = "<!-- the experts end here -->";

/// Costs are compared at this length, where a row is a text.
const ROW: RowSize = RowSize::Tokens(32);

/// Print the table of all experts, as Markdown.
///
/// One row for each version: size, accuracy (what its version.toml states first, for each set, with its 95 % interval),
/// CPU time and the machine it was measured on, licence.
#[derive(Args)]
pub(crate) struct Table {
    /// The experts: a folder with one folder for each
    #[arg(long, default_value = CATALOG, value_name = "DIR")]
    catalog: PathBuf,
    /// Put it into this file instead, between the two lines that mark its place
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

impl Table {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let table = render(&self.catalog)?;
        match &self.readme {
            None => print::out(&table),
            Some(readme) => replace(readme, &table)?,
        }
        Ok(Exit::Done)
    }
}

fn render(catalog: &Path) -> Result<String, Error> {
    let mut text =
        "| expert | says | task | version | size | accuracy (95 % interval) | CPU time | licence |\n\
                    |---|---|---|---|---:|---|---:|---|\n"
            .to_owned();
    let mut machines = Machines::default();
    for folder in folders(catalog)? {
        let Some(expert) = ExpertManifest::read(&folder).map_err(nanogrid_onnx::Error::from)? else {
            continue;
        };
        for version in versions(&folder)? {
            text.push_str(&row(&expert, &version, &mut machines));
        }
    }
    text.push_str(&machines.legend());
    Ok(text)
}

/// Those that CPU times were measured on, numbered as they come up: times of two of them do not compare.
#[derive(Default)]
struct Machines(Vec<String>);

impl Machines {
    /// e.g. ` [2]`; nothing where none is stated.
    fn number(&mut self, machine: Option<&String>) -> String {
        let Some(machine) = machine else { return String::new() };
        let known = self.0.iter().position(|known| known == machine).unwrap_or_else(|| {
            self.0.push(machine.clone());
            self.0.len() - 1
        });
        format!(" [{}]", known + 1)
    }

    fn legend(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let machines: Vec<String> =
            self.0.iter().enumerate().map(|(i, machine)| format!("[{}] {machine}", i + 1)).collect();
        format!("\nCPU time on one core of {}.\n", machines.join("; "))
    }
}

/// In order of their numbers.
fn versions(folder: &Path) -> Result<Vec<VersionManifest>, Error> {
    let mut versions = Vec::new();
    for folder in folders(folder)? {
        versions.extend(VersionManifest::read(&folder).map_err(nanogrid_onnx::Error::from)?);
    }
    versions.sort_by_key(|version| version.version);
    Ok(versions)
}

fn row(expert: &ExpertManifest, version: &VersionManifest, machines: &mut Machines) -> String {
    let is_default = version.version == expert.default_version;
    let cells = [
        format!("`{}`", expert.name),
        expert.title.clone(),
        expert.task.to_string(),
        if is_default { format!("{}, the default", version.version) } else { version.version.to_string() },
        format!("{:.1} MB", version.size.bytes as f64 / 1e6),
        accuracies(&version.accuracy),
        cost(&version.cost).map(|cost| time(cost, machines)).unwrap_or_default(),
        version.licence.clone(),
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

/// What is stated first, on every set that it is stated for: one set alone could be the flattering one.
fn accuracies(stated: &[Accuracy]) -> String {
    let Some(first) = stated.first() else { return String::new() };
    let alike: Vec<String> = stated.iter().filter(|next| next.metric == first.metric).map(accuracy).collect();
    alike.join("<br>")
}

/// e.g. `94.0 % in-scope-accuracy (93.0 to 94.8), intent/clinc150/dev`
fn accuracy(accuracy: &Accuracy) -> String {
    let Accuracy { data, metric, value, low, high, .. } = accuracy;
    // What is no share, as BLEU, is given as it is.
    let (scale, unit) = if (0.0..=1.0).contains(high) { (100.0, " %") } else { (1.0, "") };
    format!("{:.1}{unit} {metric} ({:.1} to {:.1}), {data}", value * scale, low * scale, high * scale)
}

/// At the length that most have in common, else the one of the smallest row.
fn cost(costs: &[Cost]) -> Option<&Cost> {
    let size = |cost: &&Cost| match cost.row {
        RowSize::Tokens(n) | RowSize::Pixels(n) => n,
    };
    costs.iter().find(|cost| cost.row == ROW).or_else(|| costs.iter().min_by_key(size))
}

/// e.g. `0.80 ms [1]`; the rest only where the heading does not say it.
fn time(cost: &Cost, machines: &mut Machines) -> String {
    let time = format!("{:.2} ms", cost.cpu_us / 1e3);
    let size = match cost.row {
        ROW => String::new(),
        RowSize::Tokens(n) => format!(" at {n}"),
        RowSize::Pixels(n) => format!(" for {n} pixels"),
    };
    let beams = cost.beams.map(|n| format!(", {n} beams")).unwrap_or_default();
    format!("{time}{size}{beams}{}", machines.number(cost.machine.as_ref()))
}

fn replace(readme: &Path, table: &str) -> Result<(), Error> {
    let text = fs::read_to_string(readme).map_err(Error::file("cannot read", readme))?;
    let place = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = place else {
        let problem = format!("has no place for the table: add the lines `{BEGIN}` and `{END}`");
        return Err(Error::Data { path: readme.to_owned(), problem });
    };
    let fresh = format!("{before}{BEGIN}\n{table}{END}{after}");
    if fresh != text {
        fs::write(readme, fresh).map_err(Error::file("cannot write", readme))?;
    }
    Ok(())
}
