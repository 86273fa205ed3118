//! `nanogrid expert`: from an idea or an exported model to a package that is checked, and the table of all experts.

mod add;
mod export;
mod golden;
mod manifest;
mod new;
mod table;
mod weights;

use clap::{Args, Subcommand};

use crate::{
    Global,
    error::{Error, Exit},
};

/// Begin an expert, add a model to one, or print the table of all.
#[derive(Args)]
pub(crate) struct Expert {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin an expert: its folder with expert.toml, a card to fill in, and settings to train it with
    New(new::New),
    /// Make a checked package of a model exported from the Hugging Face ecosystem
    Add(add::Add),
    /// Print the table of all experts, as Markdown, from what their versions say
    Table(table::Table),
}

impl Expert {
    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Error> {
        match self.command {
            Command::New(new) => new.run(global),
            Command::Add(add) => add.run(global).await,
            Command::Table(table) => table.run(),
        }
    }
}
