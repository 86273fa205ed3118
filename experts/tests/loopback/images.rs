//! Images in, labels out; and what is no image is refused with its row, and the host lives on.

use crate::host::{
    Running, asked, assert_refused, images, infer, int, metrics, outputs, serve, serve_with, settings,
    strings, texts,
};
use nanogrid_proto::tensor::Data;
use nanogrid_testkit::{
    images::{jpeg, png, png_of},
    packages,
};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code::InvalidArgument;

const RED: [u8; 3] = [250, 10, 20];
const GREEN: [u8; 3] = [20, 240, 30];
const BLUE: [u8; 3] = [0, 30, 255];

async fn host() -> (TempDir, Running) {
    let dir = tempfile::tempdir().unwrap();
    let host = serve(&[packages::image_classifier(dir.path(), "colour")]).await;
    (dir, host)
}

#[tokio::test]
async fn an_image_gets_its_best_labels_and_scores() {
    let (_dir, host) = host().await;
    let answer = infer(&host.client, images("colour", vec![png(BLUE), jpeg(RED), png(GREEN)])).await.unwrap();
    let found = outputs(answer);
    assert_eq!(strings(&found["label"]), ["blue", "red", "green"]);
    assert_eq!((found["label"].shape.clone(), found["score"].shape.clone()), (vec![3, 1], vec![3, 1]));

    let mut message = images("colour", vec![png(GREEN)]);
    message.parameters.insert("top_k".into(), int(5));
    let found = outputs(infer(&host.client, message).await.unwrap());
    assert_eq!(strings(&found["label"]), ["green", "blue", "red"]);
    let Data::F32(scores) = &found["score"].data else { panic!("scores are FP32") };
    assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5 && scores[0] > 0.99, "{scores:?}");

    let mut message = images("colour", vec![jpeg(BLUE)]);
    message.outputs = vec![asked("score", Some(1))];
    let ranked = strings(&outputs(infer(&host.client, message).await.unwrap())["score"]);
    assert!(ranked[0].starts_with("0.9") && ranked[0].ends_with(":2:blue"), "{ranked:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_hugging_face_folder_is_known_by_its_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let cropped =
        json!({"size": {"shortest_edge": 6}, "do_center_crop": true, "crop_size": 4, "do_rescale": true});
    let folder = packages::hugging_face_image_classifier(dir.path(), "colours", &cropped);
    let host = serve(&[folder]).await;
    let answer = infer(&host.client, images("colours", vec![png(GREEN)])).await.unwrap();
    assert_eq!(strings(&outputs(answer)["label"]), ["green"]);
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_its_row() {
    let (_dir, host) = host().await;
    let cut = |file: Vec<u8>| file[..file.len() - 20].to_vec();
    for (file, says) in [
        (Vec::new(), ["is empty", "PNG or JPEG"]),
        (b"what a lovely day".to_vec(), ["no image file", "PNG or JPEG"]),
        (b"GIF89a\x08\0\x08\0".to_vec(), ["Gif", "PNG or JPEG"]),
        (cut(png(RED)), ["PNG", "broken"]),
        (cut(jpeg(RED)), ["JPEG", "broken"]),
        (vec![0; (16 << 20) + 1], ["16777217", "inference.max-image-bytes"]),
    ] {
        let answer = infer(&host.client, images("colour", vec![png(RED), file])).await;
        assert_refused(answer, InvalidArgument, &["`image`", "row 1", says[0], says[1]]);
    }
    let answer = infer(&host.client, images("colour", vec![png(RED)])).await.expect("the host lives on");
    assert_eq!(strings(&outputs(answer)["label"]), ["red"]);
    let page = metrics(host.ops).await;
    assert!(page.contains("nanogrid_panics_total 0\n"), "{page}");
    host.stop().await;
}

#[tokio::test]
async fn more_pixels_than_the_setting_allows_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::image_classifier(dir.path(), "colour")]);
    settings.inference.max_image_pixels = 199.try_into().unwrap();
    let host = serve_with(&settings).await;
    let answer = infer(&host.client, images("colour", vec![png(RED)])).await;
    assert_refused(answer, InvalidArgument, &["row 0", "20 x 10", "199", "inference.max-image-pixels"]);
    host.stop().await;
}

#[tokio::test]
async fn images_that_wait_run_together_no_more_than_their_pixels_allow() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&[packages::image_classifier(dir.path(), "colour")]);
    // Two images of 8 x 8.
    settings.inference.max_batch_pixels = 128.try_into().unwrap();
    let host = serve_with(&settings).await;
    let files = [RED, GREEN, BLUE, RED, BLUE].map(png).to_vec();
    let answer = infer(&host.client, images("colour", files)).await.unwrap();
    assert_eq!(strings(&outputs(answer)["label"]), ["red", "green", "blue", "red", "blue"]);
    let page = metrics(host.ops).await;
    let runs = page.lines().find(|line| line.starts_with("nv_inference_exec_count{")).unwrap();
    assert!(runs.ends_with(" 3"), "{runs}");
    host.stop().await;
}

#[tokio::test]
async fn a_photo_that_is_decoded_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [
        packages::image_classifier(dir.path(), "colour"),
        packages::text_classifier(dir.path(), "weather", &["sun", "rain"]),
    ];
    // On the one thread of this test, which decoding would take for itself.
    let host = serve(&packages).await;
    let photos = vec![png_of(1500, GREEN); 2];
    let client = host.client.clone();
    let photos = tokio::spawn(async move { infer(&client, images("colour", photos)).await });
    for _ in 0..5 {
        let answer = infer(&host.client, texts("weather", &["rain"])).await.unwrap();
        assert_eq!(strings(&outputs(answer)["label"]), ["rain"]);
    }
    assert!(!photos.is_finished(), "the texts were answered meanwhile");
    let answer = photos.await.unwrap().unwrap();
    assert_eq!(strings(&outputs(answer)["label"]), ["green"; 2]);
    host.stop().await;
}
