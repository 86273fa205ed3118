//! What a client gets from a host when all is well.

use crate::host::{asked, infer, int, outputs, request, serve, strings, texts};
use nanogrid_proto::tensor::{Data, Tensor};
use nanogrid_testkit::packages;

#[tokio::test]
async fn a_text_gets_its_best_label_and_score() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let mut message = texts("weather", &["much rain today", "sun sun"]);
    message.id = "mine".into();
    let answer = infer(&host.client, message).await.unwrap();
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), ("weather", "1"));
    assert_eq!(answer.id, "mine");
    assert_eq!(answer.raw_output_contents.len(), 2, "raw, one entry per output");
    for key in ["queue", "preprocess", "inference", "postprocess"] {
        assert!(answer.parameters.contains_key(&format!("nanogrid_{key}_us")), "{key}");
    }
    let outputs = outputs(answer);
    assert_eq!(outputs["label"].shape, [2, 1]);
    assert_eq!(strings(&outputs["label"]), ["rain", "sun"]);
    let Data::F32(scores) = &outputs["score"].data else { panic!("scores are FP32") };
    assert!(scores[0] > 0.9 && scores[1] > scores[0], "{scores:?}");
    host.stop().await;
}

#[tokio::test]
async fn top_k_gives_more_labels_and_never_more_than_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain", "snow"])]).await;
    for (top_k, width) in [(1, 1), (2, 2), (3, 3), (1000, 3)] {
        let mut message = texts("weather", &["snow snow rain", "sun"]);
        message.parameters.insert("top_k".into(), int(top_k));
        let outputs = outputs(infer(&host.client, message).await.unwrap());
        assert_eq!(outputs["label"].shape, [2, width], "top_k {top_k}");
        assert_eq!(outputs["score"].shape, [2, width], "top_k {top_k}");
        let first_row = &strings(&outputs["label"])[..width.min(2)];
        assert_eq!(first_row, &["snow", "rain"][..width.min(2)]);
    }
    host.stop().await;
}

#[tokio::test]
async fn outputs_come_in_the_order_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let names = |response: nanogrid_proto::inference::ModelInferResponse| {
        response.outputs.into_iter().map(|output| output.name).collect::<Vec<_>>()
    };
    assert_eq!(names(infer(&host.client, texts("weather", &["sun"])).await.unwrap()), ["label", "score"]);
    let mut turned = texts("weather", &["sun"]);
    turned.outputs = vec![asked("score", None), asked("label", None)];
    assert_eq!(names(infer(&host.client, turned).await.unwrap()), ["score", "label"]);
    let mut one = texts("weather", &["sun"]);
    one.outputs = vec![asked("label", None)];
    let answer = infer(&host.client, one).await.unwrap();
    assert_eq!((answer.outputs.len(), answer.raw_output_contents.len()), (1, 1));
    host.stop().await;
}

#[tokio::test]
async fn classification_is_answered_in_tritons_format() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [
        packages::text_classifier(dir.path(), "weather", &["sun", "rain"]),
        packages::add(dir.path(), "add"),
    ];
    let host = serve(&packages).await;
    let mut message = texts("weather", &["rain"]);
    message.outputs = vec![asked("score", Some(2))];
    let ranked = strings(&outputs(infer(&host.client, message).await.unwrap())["score"]);
    let parts: Vec<Vec<&str>> = ranked.iter().map(|entry| entry.split(':').collect()).collect();
    assert_eq!((parts[0][1], parts[0][2]), ("1", "rain"));
    assert_eq!((parts[1][1], parts[1][2]), ("0", "sun"));
    assert!((parts[0][0].parse::<f32>().unwrap() + parts[1][0].parse::<f32>().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(parts[0][0].len(), "0.982014".len(), "six decimals");

    let mut message = request("add", vec![vector("a", &[1.0, 5.0]), vector("b", &[1.0, 1.0])]);
    message.outputs = vec![asked("sum", Some(1))];
    let sums = outputs(infer(&host.client, message).await.unwrap());
    assert_eq!(
        (strings(&sums["sum"]), sums["sum"].shape.clone()),
        (vec!["2.000000:0".into(), "6.000000:0".into()], vec![2, 1])
    );
    host.stop().await;
}

#[tokio::test]
async fn a_models_own_tensors_go_in_and_out() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::add(dir.path(), "add")]).await;
    let message = request("add", vec![vector("b", &[0.5, 0.25]), vector("a", &[1.0, 2.0])]);
    let outputs = outputs(infer(&host.client, message).await.unwrap());
    assert_eq!(outputs["sum"], vector("sum", &[1.5, 2.25]));
    host.stop().await;
}

#[tokio::test]
async fn every_datatype_survives_the_way_through_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::echo(dir.path(), "echo")]).await;
    let inputs: Vec<Tensor> = [
        Data::Bool(vec![true, false]),
        Data::U8(vec![1, 255]),
        Data::U16(vec![1, 65535]),
        Data::U32(vec![1, u32::MAX]),
        Data::U64(vec![1, u64::MAX]),
        Data::I8(vec![-1, 127]),
        Data::I16(vec![-1, 32767]),
        Data::I32(vec![-1, i32::MAX]),
        Data::I64(vec![-1, i64::MAX]),
        Data::F32(vec![-0.0, f32::MIN_POSITIVE]),
        Data::F64(vec![-0.0, f64::MAX]),
        Data::F16(vec![0x3c00, 0x8001]),
        Data::Bf16(vec![0x3f80, 0x8001]),
        Data::Bytes(vec!["".into(), "søndag".into()]),
    ]
    .into_iter()
    .map(|data| Tensor { name: data.datatype().to_owned(), shape: vec![2], data })
    .collect();
    let known: Vec<_> = nanogrid_testkit::graphs::datatypes().collect();
    let inputs: Vec<_> = inputs.into_iter().filter(|tensor| known.contains(&tensor.name.as_str())).collect();
    assert_eq!(inputs.len(), known.len());
    let answer = outputs(infer(&host.client, request("echo", inputs.clone())).await.unwrap());
    for input in inputs {
        assert_eq!(answer[&format!("{}_out", input.name)].data, input.data);
    }
    host.stop().await;
}

#[tokio::test]
async fn typed_and_raw_requests_get_the_same_answer() {
    use nanogrid_proto::inference::{
        InferTensorContents, ModelInferRequest, model_infer_request::InferInputTensor,
    };
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    let typed = ModelInferRequest {
        model_name: "weather".into(),
        inputs: vec![InferInputTensor {
            name: "text".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            contents: Some(InferTensorContents { bytes_contents: vec!["rain".into()], ..Default::default() }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let typed = outputs(infer(&host.client, typed).await.unwrap());
    let raw = outputs(infer(&host.client, texts("weather", &["rain"])).await.unwrap());
    assert_eq!(typed, raw);
    host.stop().await;
}

#[tokio::test]
async fn a_hugging_face_folder_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::hugging_face(dir.path(), "My_Model", &["sun", "rain"])]).await;
    let answer = infer(&host.client, texts("my-model", &["rain"])).await.unwrap();
    assert_eq!(strings(&outputs(answer)["label"]), ["rain"]);
    host.stop().await;
}

#[tokio::test]
async fn the_version_asked_for_answers_and_the_default_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let one = packages::text_classifier(dir.path(), "weather", &["sun", "rain"]);
    let two = packages::text_classifier_version(&one, 2, &["Sonne", "Regen"]);
    let host = serve(&[one.join("1"), two]).await;
    for (asked_for, answers) in [("", "1"), ("1", "1"), ("2", "2")] {
        let mut message = texts("weather", &["rain"]);
        message.model_version = asked_for.into();
        let answer = host.client.clone().model_infer(message).await.unwrap();
        assert_eq!(answer.metadata().get("x-nanogrid-expert").unwrap(), "weather");
        assert_eq!(answer.metadata().get("x-nanogrid-version").unwrap(), answers);
        assert_eq!(answer.into_inner().model_version, answers);
    }
    host.stop().await;
}

#[tokio::test]
async fn compressed_requests_are_read() {
    use tonic::codec::CompressionEncoding::{Deflate, Gzip};
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::text_classifier(dir.path(), "weather", &["sun", "rain"])]).await;
    for encoding in [Gzip, Deflate] {
        let client = host.client.clone().send_compressed(encoding);
        let answer = infer(&client, texts("weather", &["rain"])).await.unwrap();
        assert_eq!(strings(&outputs(answer)["label"]), ["rain"]);
    }
    host.stop().await;
}

#[tokio::test]
async fn one_process_for_all_and_one_each_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let weather = packages::text_classifier(dir.path(), "weather", &["sun", "rain", "snow"]);
    let mood = packages::text_classifier(dir.path(), "mood", &["good", "bad"]);
    let together = serve(&[weather.clone(), mood.clone()]).await;
    let apart = [("weather", serve(&[weather]).await), ("mood", serve(&[mood]).await)];
    for (name, alone) in apart {
        let rows = ["good rain", "SNOW bad", "nothing of it", "日本語 sun 🌧"];
        let mut message = texts(name, &rows);
        message.parameters.insert("top_k".into(), int(10));
        let mut here = infer(&together.client, message.clone()).await.unwrap();
        let mut there = infer(&alone.client, message).await.unwrap();
        // Times differ from call to call.
        here.parameters.clear();
        there.parameters.clear();
        assert_eq!(prost::Message::encode_to_vec(&here), prost::Message::encode_to_vec(&there));
        alone.stop().await;
    }
    together.stop().await;
}

fn vector(name: &str, values: &[f32]) -> Tensor {
    Tensor { name: name.into(), shape: vec![values.len()], data: Data::F32(values.to_vec()) }
}
