use super::*;

#[test]
fn an_image_is_sent_as_an_image_over_both_services() {
    let file = Bytes::from_static(b"a picture");
    let input = Input::Image { path: "cat-1.jpg".into(), file: file.clone() };
    let case = Case { input, expert: Some("obstacle".to_owned()), expected: vec!["cat".to_owned()] };

    let message = grid_message(&case, Vec::new());
    assert_eq!(message.payload, Some(Payload::Image(file.clone())));

    let message = oip_message(&case, None);
    assert_eq!(message.model_name, "obstacle");
    let input = message.inputs.first().expect("one input");
    assert_eq!(
        (input.name.as_str(), input.datatype.as_str(), &input.shape[..]),
        ("image", "BYTES", &[1][..])
    );
    let inputs = tensor::inputs(message).expect("well formed");
    assert_eq!(inputs[0].data, Data::Bytes(vec![file]));
}
