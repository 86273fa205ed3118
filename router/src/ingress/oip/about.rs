//! What the grid says of itself in the protocol's words. What only an expert knows of its model, an expert is asked.

use std::{sync::Arc, time::Duration};

use nanogrid_proto::inference::{
    DataType, ModelConfig, ModelConfigRequest, ModelConfigResponse, ModelInput, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, RepositoryIndexResponse, ServerMetadataResponse,
    model_metadata_response::TensorMetadata, repository_index_response::ModelIndex,
};

use super::AUTO;
use crate::{
    Router, catalog::Expert, dispatch::ask_about, error::Error, ingress::wire, request::VersionChoice,
};

/// Only what works here.
const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"];

/// Nobody waits longer for a description.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "nanogrid-router".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

impl Router {
    /// A model that does not exist is not ready, as Triton has it.
    pub(super) fn model_ready(&self, request: &ModelReadyRequest) -> Result<bool, Error> {
        if request.name == AUTO {
            return Ok(self.classifier.version().is_some());
        }
        let version = wire::version("version", &request.version)?.map(VersionChoice::Number);
        let grid = self.catalog.now();
        Ok(grid.get(&request.name).is_some_and(|expert| match version {
            None => expert.is_ready(),
            Some(choice) => expert.version(choice).is_ok_and(|idx| expert.versions[idx].is_ready()),
        }))
    }

    pub(super) async fn model_metadata(
        &self,
        request: ModelMetadataRequest,
    ) -> Result<ModelMetadataResponse, Error> {
        if request.name == AUTO {
            return Ok(auto_metadata());
        }
        let (expert, idx) = self.described(&request.name, &request.version)?;
        let version = &expert.versions[idx];
        let asked = ModelMetadataRequest { version: version.number.to_string(), ..request };
        let answer =
            ask_about(version, PATIENCE, async |mut client| client.model_metadata(asked).await).await;
        let metadata =
            answer.map_err(|source| Error::Call { expert: expert.name.clone(), source: Box::new(source) })?;
        let versions = expert.versions.iter().map(|version| version.number.to_string()).collect();
        Ok(ModelMetadataResponse { versions, ..metadata })
    }

    pub(super) async fn model_config(
        &self,
        request: ModelConfigRequest,
    ) -> Result<ModelConfigResponse, Error> {
        if request.name == AUTO {
            return Ok(auto_config());
        }
        let (expert, idx) = self.described(&request.name, &request.version)?;
        let version = &expert.versions[idx];
        let asked = ModelConfigRequest { version: version.number.to_string(), ..request };
        let answer = ask_about(version, PATIENCE, async |mut client| client.model_config(asked).await).await;
        answer.map_err(|source| Error::Call { expert: expert.name.clone(), source: Box::new(source) })
    }

    pub(super) fn repository_index(&self, only_ready: bool) -> RepositoryIndexResponse {
        let grid = self.catalog.now();
        let models = grid.experts().flat_map(|expert| {
            expert.versions.iter().map(|version| ModelIndex {
                name: expert.name.to_string(),
                version: version.name(),
                state: if version.is_ready() { "READY" } else { "UNAVAILABLE" }.to_owned(),
                reason: if version.is_ready() { String::new() } else { version.why_not_ready() },
            })
        });
        RepositoryIndexResponse {
            models: models.filter(|model| !only_ready || model.state == "READY").collect(),
        }
    }

    /// The version that is meant: the one named, or the one that most requests see.
    fn described(&self, name: &str, version: &str) -> Result<(Arc<Expert>, usize), Error> {
        let version = wire::version("version", version)?.map(VersionChoice::Number);
        let expert = self.catalog.now().expert(name)?.clone();
        let idx = version.map_or_else(|| Ok(expert.main_version()), |choice| expert.version(choice))?;
        Ok((expert, idx))
    }
}

/// What `auto` takes; what it gives depends on the expert.
fn auto_metadata() -> ModelMetadataResponse {
    ModelMetadataResponse {
        name: AUTO.to_owned(),
        platform: PLATFORM.to_owned(),
        inputs: vec![TensorMetadata {
            name: "text".to_owned(),
            datatype: "BYTES".to_owned(),
            shape: vec![1],
        }],
        ..Default::default()
    }
}

fn auto_config() -> ModelConfigResponse {
    let input = ModelInput {
        name: "text".to_owned(),
        data_type: DataType::TypeString.into(),
        dims: vec![1],
        ..Default::default()
    };
    let config = ModelConfig {
        name: AUTO.to_owned(),
        platform: PLATFORM.to_owned(),
        input: vec![input],
        ..Default::default()
    };
    ModelConfigResponse { config: Some(config) }
}

const PLATFORM: &str = "nanogrid";
