//! What an expert takes and gives, as `ModelMetadata`, `ModelConfig` and `RepositoryIndex` tell it.

use nanogrid_onnx::Datatype;
use nanogrid_proto::inference::{
    DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelMetadataResponse,
    ModelOutput, ModelParameter, ModelQueuePolicy, ModelResponseCache, ModelTransactionPolicy,
    ModelVersionPolicy, RepositoryIndexResponse, ServerMetadataResponse,
    model_config::SchedulingChoice,
    model_instance_group::Kind,
    model_metadata_response::TensorMetadata,
    model_version_policy::{PolicyChoice, Specific},
    repository_index_response::ModelIndex,
};
use nanogrid_settings::package::TensorSpec;

use crate::{
    expert::Expert,
    repository::{Snapshot, State, Versions},
};

/// Clients look here before they use one: listed is what we do, and nothing else.
const EXTENSIONS: [&str; 6] = [
    "classification",
    "model_repository",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
];

pub(crate) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "nanogrid-expert".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

pub(crate) fn model(expert: &Expert, versions: &Versions) -> ModelMetadataResponse {
    let signature = expert.task.signature();
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.clone(),
        shape: spec.shape.clone(),
    };
    ModelMetadataResponse {
        name: expert.name().to_owned(),
        versions: versions.ready().map(|expert| expert.version.clone()).collect(),
        platform: PLATFORM.to_owned(),
        inputs: signature.inputs.iter().map(tensor).collect(),
        outputs: signature.outputs.iter().map(tensor).collect(),
        properties: properties(expert).map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

pub(crate) fn config(expert: &Expert, versions: &Versions) -> ModelConfig {
    let (signature, limits) = (expert.task.signature(), &expert.limits);
    // With a batch axis, dims leave it out.
    let dims = |spec: &TensorSpec| spec.shape[usize::from(signature.batched)..].to_vec();
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(&spec.datatype).into(),
        dims: dims(spec),
        ..ModelInput::default()
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(&spec.datatype).into(),
        dims: dims(spec),
        ..ModelOutput::default()
    };
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let batching = ModelDynamicBatching {
        preferred_batch_size: vec![number(limits.max_batch_rows.get())],
        // Batches form from what is waiting; nobody waits for a batch.
        max_queue_delay_microseconds: 0,
        default_queue_policy: Some(ModelQueuePolicy {
            allow_timeout_override: true,
            max_queue_size: u32::try_from(limits.queue.get()).unwrap_or(u32::MAX),
            ..ModelQueuePolicy::default()
        }),
        ..ModelDynamicBatching::default()
    };
    let parameter = |(key, string_value): (&str, String)| (key.to_owned(), ModelParameter { string_value });
    ModelConfig {
        name: expert.name().to_owned(),
        platform: PLATFORM.to_owned(),
        backend: "onnxruntime".to_owned(),
        version_policy: Some(ModelVersionPolicy {
            policy_choice: Some(PolicyChoice::Specific(Specific {
                versions: versions.states.keys().map(|version| i64::from(*version)).collect(),
            })),
        }),
        max_batch_size: if signature.batched { number(limits.max_rows.get()) } else { 0 },
        input: signature.inputs.iter().map(input).collect(),
        output: signature.outputs.iter().map(output).collect(),
        instance_group: vec![ModelInstanceGroup {
            name: "workers".to_owned(),
            count: number(limits.workers.get()),
            kind: Kind::Cpu.into(),
            ..ModelInstanceGroup::default()
        }],
        default_model_filename: "model.onnx".to_owned(),
        scheduling_choice: signature.batched.then_some(SchedulingChoice::DynamicBatching(batching)),
        parameters: properties(expert).map(parameter).collect(),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        response_cache: Some(ModelResponseCache { enable: false }),
        ..ModelConfig::default()
    }
}

/// One entry per version; `only_ready` leaves out what cannot answer.
pub(crate) fn index(snapshot: &Snapshot, only_ready: bool) -> RepositoryIndexResponse {
    let of_expert = |(name, versions): (&String, &Versions)| {
        let entry = |(version, state): (&u32, &State)| {
            let (state, reason) = match state {
                State::Loading => ("LOADING", ""),
                State::Ready(_) => ("READY", ""),
                State::Unavailable(reason) => ("UNAVAILABLE", reason.as_str()),
            };
            ModelIndex {
                name: name.clone(),
                version: version.to_string(),
                state: state.to_owned(),
                reason: reason.to_owned(),
            }
        };
        versions.states.iter().map(entry).collect::<Vec<_>>()
    };
    let models = snapshot.experts.iter().flat_map(of_expert);
    RepositoryIndexResponse { models: models.filter(|model| !only_ready || model.state == "READY").collect() }
}

const PLATFORM: &str = "onnxruntime_onnx";

fn properties(expert: &Expert) -> impl Iterator<Item = (&'static str, String)> {
    let (package, limits) = (&expert.package, &expert.limits);
    [
        ("task", package.task.to_string()),
        ("title", package.title.clone()),
        ("description", package.description.clone()),
        ("labels", package.labels.len().to_string()),
        ("model_sha256", package.model_sha256.clone()),
        ("labels_sha256", package.labels_sha256.clone()),
        ("max_tokens", package.max_tokens.to_string()),
        ("max_text_bytes", limits.max_text_bytes.to_string()),
        ("max_image_bytes", limits.max_image_bytes.to_string()),
        ("max_image_pixels", limits.max_image_pixels.to_string()),
        ("max_rows", limits.max_rows.to_string()),
    ]
    .into_iter()
}

/// Specs hold datatypes by their names on the wire.
fn data_type(name: &str) -> DataType {
    let Ok(datatype) = name.parse() else { return DataType::TypeInvalid };
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}
