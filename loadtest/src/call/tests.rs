use super::*;

#[test]
fn an_image_is_sent_as_an_image_over_both_services() {
    let file = Bytes::from_static(b"a picture");
    let input = Input::Image { path: "cat-1.jpg".into(), file: file.clone() };
    let case =
        Case { input, expert: Some("obstacle".to_owned()), by_name: false, expected: vec!["cat".to_owned()] };

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

#[test]
fn a_case_by_name_is_not_left_to_the_classifier() {
    let asked = |by_name| {
        let (input, expert) = (Input::Text("good day".to_owned()), Some("translate-en-de".to_owned()));
        let case = Case { input, expert, by_name, expected: vec!["guten Tag".to_owned()] };
        let named =
            [Api::Grid, Api::Oip].map(|api| Prepared::new(case.clone(), api, &Ask::Classifier).message);
        let [Message::Grid(grid), Message::Oip(oip)] = named else { panic!("one of each") };
        (grid.experts, oip.model_name)
    };
    assert_eq!(asked(true), (vec!["translate-en-de".to_owned()], "translate-en-de".to_owned()));
    assert_eq!(asked(false), (Vec::new(), "auto".to_owned()));
}
