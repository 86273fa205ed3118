//! What a host says of itself and its experts.

use crate::host::{assert_refused, infer, serve, texts};
use nanogrid_proto::{
    inference::{
        DataType, ModelConfigRequest, ModelMetadataRequest, ModelReadyRequest, ModelStatisticsRequest,
        RepositoryIndexRequest, RepositoryModelLoadRequest, ServerLiveRequest, ServerMetadataRequest,
        ServerReadyRequest, SystemSharedMemoryStatusRequest, TraceSettingRequest,
        model_config::SchedulingChoice,
    },
    v1::{GetInfoRequest, expert_info_client::ExpertInfoClient},
};
use nanogrid_testkit::packages;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

#[tokio::test]
async fn live_ready_and_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let mut client = host.client.clone();
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    for (name, version, ready) in
        [("weather", "", true), ("weather", "1", true), ("weather", "2", false), ("topic", "", false)]
    {
        let request = ModelReadyRequest { name: name.into(), version: version.into() };
        assert_eq!(client.model_ready(request).await.unwrap().into_inner().ready, ready, "{name} {version}");
    }
    let malformed = ModelReadyRequest { name: "weather".into(), version: "one".into() };
    assert_refused(client.model_ready(malformed).await, Code::InvalidArgument, &["`one`"]);

    let server = client.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    for extension in [
        "statistics",
        "model_configuration",
        "model_repository",
        "classification",
        "binary_tensor_data",
        "parameters",
    ] {
        assert!(server.extensions.iter().any(|listed| listed == extension), "{extension}");
    }
    let request = ModelMetadataRequest { name: "weather".into(), version: String::new() };
    let model = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!((model.name.as_str(), model.versions.as_slice()), ("weather", &["1".to_owned()][..]));
    let tensors = |tensors: Vec<nanogrid_proto::inference::model_metadata_response::TensorMetadata>| {
        tensors.into_iter().map(|tensor| (tensor.name, tensor.datatype, tensor.shape)).collect::<Vec<_>>()
    };
    assert_eq!(tensors(model.inputs), [("text".into(), "BYTES".into(), vec![-1])]);
    assert_eq!(
        tensors(model.outputs),
        [("label".into(), "BYTES".into(), vec![-1, -1]), ("score".into(), "FP32".into(), vec![-1, -1])]
    );
    assert_eq!(model.properties["task"], "text-classification");
    crate::host::wait_until(&host.channel, "weather", ServingStatus::Serving).await;
    host.stop().await;
}

#[tokio::test]
async fn the_configuration_has_what_tritons_tools_read() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [
        packages::text_classifier(dir.path(), "weather", &["sun", "rain"]),
        packages::add(dir.path(), "add"),
    ];
    let host = serve(&packages).await;
    let config = async |name: &str| {
        let request = ModelConfigRequest { name: name.into(), version: String::new() };
        host.client.clone().model_config(request).await.unwrap().into_inner().config.unwrap()
    };
    let weather = config("weather").await;
    assert_eq!(weather.max_batch_size, 256);
    assert_eq!(
        (weather.input[0].name.as_str(), weather.input[0].data_type()),
        ("text", DataType::TypeString)
    );
    assert_eq!(weather.input[0].dims, [0i64; 0], "without the batch axis");
    assert_eq!(weather.output[0].dims, [-1]);
    assert!(!weather.model_transaction_policy.unwrap().decoupled);
    let Some(SchedulingChoice::DynamicBatching(batching)) = weather.scheduling_choice else {
        panic!("it batches")
    };
    assert_eq!((batching.preferred_batch_size, batching.max_queue_delay_microseconds), (vec![32], 0));
    assert_eq!(weather.parameters["task"].string_value, "text-classification");
    assert_eq!(config("add").await.input[1].data_type(), DataType::TypeFp32);
    host.stop().await;
}

#[tokio::test]
async fn statistics_count_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [
        packages::text_classifier(dir.path(), "weather", &["sun", "rain"]),
        packages::text_classifier(dir.path(), "mood", &["good", "bad"]),
    ];
    let host = serve(&packages).await;
    infer(&host.client, texts("weather", &["rain"])).await.unwrap();
    infer(&host.client, texts("weather", &["rain", "sun", "snow"])).await.unwrap();
    infer(&host.client, texts("weather", &[""])).await.unwrap_err();
    let statistics = async |name: &str, version: &str| {
        let request = ModelStatisticsRequest { name: name.into(), version: version.into() };
        host.client.clone().model_statistics(request).await.map(|answer| answer.into_inner().model_stats)
    };
    let weather = statistics("weather", "1").await.unwrap().remove(0);
    assert_eq!((weather.inference_count, weather.execution_count), (4, 2));
    assert!(weather.last_inference > 1_600_000_000_000, "milliseconds since 1970");
    let inference = weather.inference_stats.unwrap();
    assert_eq!((inference.success.unwrap().count, inference.fail.unwrap().count), (2, 1));
    for stage in [inference.queue, inference.compute_input, inference.compute_infer, inference.compute_output]
    {
        assert_eq!(stage.unwrap().count, 2);
    }
    assert!(inference.compute_infer.unwrap().ns > 0);
    let batches: Vec<_> = weather
        .batch_stats
        .iter()
        .map(|batch| (batch.batch_size, batch.compute_infer.unwrap().count))
        .collect();
    assert_eq!(batches, [(1, 1), (3, 1)]);
    assert_eq!(weather.memory_usage[0].r#type, "CPU");

    let all = statistics("", "").await.unwrap();
    assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["mood", "weather"]);
    assert_eq!(all[0].inference_count, 0);
    assert_refused(statistics("topic", "").await, Code::NotFound, &["`topic`"]);
    let page = crate::host::metrics(host.ops).await;
    for line in [
        "nv_inference_request_success{model=\"weather\",version=\"1\"} 2",
        "nv_inference_count{model=\"weather\",version=\"1\"} 4",
        "nv_inference_exec_count{model=\"weather\",version=\"1\"} 2",
        "nv_inference_request_failure{model=\"weather\",version=\"1\",reason=\"REJECTED\"} 1",
    ] {
        assert!(page.lines().any(|seen| seen == line), "`{line}` is not in\n{page}");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_index_and_the_info_list_every_package() {
    let dir = tempfile::tempdir().unwrap();
    let one = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let two = packages::text_classifier_version(&one, 2, &["sun", "rain"]);
    let host = serve(&[one, two]).await;
    let index =
        host.client.clone().repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
    let listed: Vec<_> = index
        .models
        .iter()
        .map(|model| (model.name.as_str(), model.version.as_str(), model.state.as_str()))
        .collect();
    assert_eq!(listed, [("weather", "1", "READY"), ("weather", "2", "READY")]);

    let info =
        ExpertInfoClient::new(host.channel.clone()).get_info(GetInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.pid, std::process::id());
    assert!(info.memory > 1 << 20 && info.start_up_us > 0 && info.started.is_some());
    assert_eq!(info.packages.len(), 2);
    let package = &info.packages[0];
    assert_eq!((package.name.as_str(), package.version.as_str(), package.n_labels), ("weather", "1", 2));
    assert_eq!((package.task.as_str(), package.model_sha256.len()), ("text-classification", 64));
    assert!(package.ready);
    assert_eq!(package.labels_sha256, info.packages[1].labels_sha256, "the same labels");
    host.stop().await;
}

#[tokio::test]
async fn what_is_not_offered_says_what_to_do_instead() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let mut client = host.client.clone();
    let load = client.repository_model_load(RepositoryModelLoadRequest::default()).await;
    assert_refused(
        load,
        Code::Unimplemented,
        &["RepositoryModelLoad", "repository.allow-changes", "start another process"],
    );
    let shared = client.system_shared_memory_status(SystemSharedMemoryStatusRequest::default()).await;
    assert_refused(shared, Code::Unimplemented, &["raw_input_contents"]);
    let trace = client.trace_setting(TraceSettingRequest::default()).await;
    assert_refused(trace, Code::Unimplemented, &["telemetry.sample"]);
    let other = RepositoryIndexRequest { repository_name: "other".into(), ready: false };
    assert_refused(client.repository_index(other).await, Code::Unimplemented, &["leave it empty"]);
    host.stop().await;
}
