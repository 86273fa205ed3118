use nanogrid_proto::tensor::set_inputs;

use super::*;

fn text_input(name: &str, rows: &[&'static [u8]]) -> ModelInferRequest {
    let mut message = ModelInferRequest::default();
    let data = Data::Bytes(rows.iter().map(|row| Bytes::from_static(row)).collect());
    set_inputs(&mut message, vec![Tensor { name: name.to_owned(), shape: vec![rows.len()], data }]);
    message
}

fn instructed(choice: ParameterChoice) -> ModelInferRequest {
    let mut message = text_input("text", &[b"good morning"]);
    let parameter = InferParameter { parameter_choice: Some(choice) };
    message.parameters.insert(INSTRUCTION.to_owned(), parameter);
    message
}

#[track_caller]
fn refused(message: &ModelInferRequest, words: &str) {
    let status = question(message).expect_err(words);
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains(words), "{}", status.message());
}

#[test]
fn a_question_is_one_text_and_perhaps_what_to_do_with_it() {
    let alone = question(&text_input("text", &[b"good morning"])).expect("a question");
    assert_eq!(alone, Question { instruction: String::new(), text: "good morning".to_owned() });
    let french =
        question(&instructed(ParameterChoice::StringParam("in French".to_owned()))).expect("a question");
    assert_eq!(french.instruction, "in French");

    refused(&ModelInferRequest::default(), "must be `text` alone");
    refused(&text_input("image", &[b"x"]), "must be `text` alone");
    refused(&text_input("text", &[b"x", b"y"]), "one row of it");
    refused(&text_input("text", &[b"\xff"]), "must be UTF-8");
    refused(&instructed(ParameterChoice::Int64Param(7)), "`instruction` must be a text");
    // Four bytes for each empty row in the message, and nothing is decoded to count them.
    let mut many = text_input("text", &[b"x"]);
    many.raw_input_contents[0] = Bytes::from(vec![0; 4 << 20]);
    refused(&many, "inputs: ");
}

#[test]
fn an_answer_without_confidence_has_none() {
    let body = br#"{"choices": [{"message": {"content": "bonjour"}}]}"#;
    let asked =
        ModelInferRequest { model_name: "openai".to_owned(), id: "7".to_owned(), ..Default::default() };
    let completion = completion(body).expect("a completion");
    assert_eq!((completion.model(), completion.finish_reason()), ("", ""));
    let response = completion.into_response(asked, Duration::from_millis(3)).expect("an answer");
    let outputs = tensor::outputs(response).expect("tensors");
    assert_eq!(outputs[0].data, Data::Bytes(vec![Bytes::from_static(b"bonjour")]));
    assert_eq!(outputs[1].data, Data::F32(vec![f32::NEG_INFINITY]));
}
