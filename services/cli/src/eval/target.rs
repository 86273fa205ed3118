//! Who is asked: an expert of a running grid, or one of a package folder.

use std::{collections::BTreeSet, path::Path};

use nanogrid_onnx::Package;
use nanogrid_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use nanogrid_settings::{ExpertManifest, Task};
use tonic::transport::Channel;

use crate::{
    Global, client,
    client::Grid,
    error::Error,
    eval::{Eval, ask, host::Host},
};

pub(crate) struct Target {
    pub(crate) client: GrpcInferenceServiceClient<Channel>,
    pub(crate) expert: String,
    /// Empty where the grid is to choose.
    pub(crate) version: String,
    pub(crate) task: Task,
    /// Every label that it can give, where it says.
    pub(crate) labels: Option<BTreeSet<String>>,
    /// The label that says that no other fits.
    pub(crate) none: Option<String>,
    /// Where it answers, for people.
    pub(crate) place: String,
    /// Another may answer in its place.
    pub(crate) behind_router: bool,
    /// Ends with the test.
    #[expect(dead_code, reason = "held for as long as it is asked")]
    pub(crate) host: Option<Host>,
}

impl Target {
    pub(crate) async fn find(eval: &Eval, global: &Global) -> Result<Self, Error> {
        match (&eval.package, &eval.expert) {
            (Some(folder), expert) => Self::of_package(eval, folder, expert.as_deref()).await,
            (None, Some(expert)) => Self::of_grid(eval, &global.addr, expert).await,
            (None, None) => Err(Error::Package { problem: "name an expert with --expert".to_owned() }),
        }
    }

    async fn of_grid(eval: &Eval, addr: &str, name: &str) -> Result<Self, Error> {
        let mut grid = Grid::at(addr).await?;
        let known = grid.experts().await?.experts;
        let Some(expert) = known.iter().find(|expert| expert.name == name) else {
            let known: Vec<String> = known.iter().map(|expert| format!("`{}`", expert.name)).collect();
            return Err(Error::UnknownExpert { name: name.to_owned(), known: known.join(", ") });
        };
        let task = expert
            .task
            .parse()
            .map_err(|error| Error::Package { problem: format!("{name}: task {error}") })?;
        let target = Self {
            client: grid.inference(),
            expert: name.to_owned(),
            version: eval.version.map(|version| version.to_string()).unwrap_or_default(),
            task,
            labels: None,
            none: eval.none.clone(),
            place: addr.to_owned(),
            behind_router: true,
            host: None,
        };
        let says_all = matches!(task, Task::TextClassification | Task::ImageClassification);
        let labels = if says_all { ask::labels(&target).await } else { None };
        Ok(Self { labels, ..target })
    }

    /// The package is looked at here first: what is wrong with it is said better than a process could that ends.
    async fn of_package(eval: &Eval, folder: &Path, name: Option<&str>) -> Result<Self, Error> {
        let folder = match eval.version {
            Some(version) if ExpertManifest::read(folder).ok().flatten().is_some() => {
                folder.join(version.to_string())
            }
            Some(_) | None => folder.to_owned(),
        };
        let package = Package::open(&folder)?;
        if name.is_some_and(|name| name != package.name.as_str()) {
            let problem = format!(
                "{} is the expert `{}`, and not the one that --expert names: leave --expert out",
                folder.display(),
                package.name
            );
            return Err(Error::Package { problem });
        }
        let outside = package.out_of_scope.as_ref().map(|rule| rule.label.clone());
        let labels = match package.task {
            Task::TextClassification | Task::ImageClassification => {
                Some(package.labels.iter().cloned().chain(outside.clone()).collect())
            }
            // Labels of tokens are not those of spans.
            Task::TokenClassification
            | Task::TextToText
            | Task::Embedding
            | Task::SpeechToText
            | Task::TextToSpeech
            | Task::Series
            | Task::Tensor => None,
        };
        let host = Host::start(&package.folder).await?;
        Ok(Self {
            client: client::inference(host.channel()),
            expert: package.name.to_string(),
            version: package.version.to_string(),
            task: package.task,
            labels,
            none: eval.none.clone().or(outside),
            place: folder.display().to_string(),
            behind_router: false,
            host: Some(host),
        })
    }
}
