use super::*;

fn grid() -> ListExpertsResponse {
    let endpoint = |address: &str, state: EndpointState, pid, memory, reason: &str| Endpoint {
        address: address.to_owned(),
        version: "1".to_owned(),
        state: state.into(),
        ready: state == EndpointState::Ready,
        pid,
        memory,
        reason: reason.to_owned(),
    };
    let version = |version: &str, weight, label: &str| Version {
        version: version.to_owned(),
        weight,
        label: label.to_owned(),
        ..Version::default()
    };
    ListExpertsResponse {
        experts: vec![Expert {
            name: "intent".to_owned(),
            task: "text-classification".to_owned(),
            title: "what a user asks for".to_owned(),
            versions: vec![version("1", 9_500, "stable"), version("2", 500, "canary")],
            endpoints: vec![
                endpoint("127.0.0.1:7001", EndpointState::Ready, 42, 50 << 20, ""),
                endpoint("10.0.0.7:7001", EndpointState::Connecting, 0, 0, "unreachable"),
            ],
            ready: true,
        }],
    }
}

#[test]
fn numbers_are_numbers_and_the_unknown_is_null() {
    let json = to_json(&grid());
    let endpoints = &json["experts"][0]["endpoints"];
    assert_eq!(endpoints[0]["pid"], 42);
    assert_eq!(endpoints[0]["memory"], 50 << 20);
    assert_eq!(endpoints[0]["state"], "ready");
    assert_eq!(endpoints[1]["pid"], Value::Null);
    assert_eq!(endpoints[1]["memory"], Value::Null);
    assert_eq!(endpoints[1]["reason"], "unreachable");
}

#[test]
fn each_endpoint_has_its_line_and_each_version_its_share() {
    let text = anstream::adapter::strip_str(&render(&grid())).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].contains("1 (stable, 95 %), 2 (canary, 5 %)"), "{text}");
    assert!(lines[1].contains("50.0 MiB") && lines[1].contains("what a user asks for"), "{text}");
    assert!(lines[2].contains("connecting: unreachable"), "{text}");
}
