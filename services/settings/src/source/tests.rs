use std::{io::Write, num::NonZeroUsize, time::Duration};

use tempfile::NamedTempFile;

use super::*;
use crate::{
    Escalation, ExpertSettings, KubernetesSettings, LimitSettings, LogFormat, OpenAiSettings, RolloutHome,
    RouterSettings,
};

fn read<T: DeserializeOwned>(file: &str, variables: &[(&str, &str)]) -> Result<T, String> {
    let mut written = NamedTempFile::new().expect("a temporary file");
    written.write_all(file.as_bytes()).expect("writable");
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    layered(Some(written.path()), variables)
        .map_err(|error| error.to_string().replace(&written.path().display().to_string(), "expert.toml"))
}

#[track_caller]
fn refused(file: &str, variables: &[(&str, &str)], expected: &str) {
    let actual = read::<ExpertSettings>(file, variables).expect_err("wrong");
    assert_eq!(actual, expected, "\n{actual}");
}

#[track_caller]
fn router_refused(file: &str, expected: &str) {
    let actual = read::<RouterSettings>(file, &[]).expect_err("wrong");
    assert_eq!(actual, expected, "\n{actual}");
}

#[test]
fn without_file_and_environment_there_are_the_defaults() {
    let expert: ExpertSettings = layered(None, []).expect("defaults");
    assert_eq!(expert, ExpertSettings::default());
    let router: RouterSettings = layered(None, []).expect("defaults");
    assert_eq!(router, RouterSettings::default());
    assert_eq!(router.classifier.as_deref(), Some(Path::new("router/model/4")));
}

#[test]
fn the_environment_overrides_the_file_key_by_key() {
    let file = "packages = [\"a\"]\n[server]\nlisten = \"127.0.0.1:1\"\nops = \"127.0.0.1:2\"\n[server.drain]\nserve-on = \"1s\"\n\
                [inference]\nworkers = 2\n[telemetry]\nlog-format = \"json\"\nsample = 1\n";
    let settings: ExpertSettings = read(
        file,
        &[
            ("NANOGRID__SERVER__LISTEN", "0.0.0.0:8001"),
            ("NANOGRID__SERVER__DRAIN__HARD_STOP", "1m"),
            ("NANOGRID__INFERENCE__MAX_BATCH_ROWS", "8"),
            ("NANOGRID__PACKAGES", "b,c"),
            ("NANOGRID__TELEMETRY__SAMPLE", "0.5"),
            ("NANOGRID_CACHE", "not a setting"),
            ("PATH", "/bin"),
        ],
    )
    .expect("good");
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:8001");
    assert_eq!(settings.server.ops.to_string(), "127.0.0.1:2");
    assert_eq!(settings.server.drain.serve_on, Duration::from_secs(1));
    assert_eq!(settings.server.drain.hard_stop, Duration::from_secs(60));
    assert_eq!(settings.inference.workers, NonZeroUsize::new(2).expect("2"));
    assert_eq!(settings.inference.max_batch_rows, NonZeroUsize::new(8).expect("8"));
    assert_eq!(settings.packages, [PathBuf::from("b"), PathBuf::from("c")]);
    assert_eq!(settings.telemetry.sample, 0.5);
    assert_eq!(settings.telemetry.log_format, LogFormat::Json);
}

#[test]
fn the_bounds_of_the_limit_fit_together() {
    let variables = [("NANOGRID__LIMIT__INITIAL", "8"), ("NANOGRID__LIMIT__TARGET", "20ms")];
    let settings: ExpertSettings = read("[limit]\nmin = 2\nmax = 16\n", &variables).expect("good");
    let number = |n| NonZeroUsize::new(n).expect("above 0");
    let expected = LimitSettings {
        initial: Some(number(8)),
        min: number(2),
        max: number(16),
        target: Duration::from_millis(20),
    };
    assert_eq!(settings.limit, expected);
    refused("[limit]\nmin = 9\nmax = 8\n", &[], "expert.toml:2: limit: `min` must not be above `max`, 8: 9");
    refused(
        "[limit]\ninitial = 9\nmax = 8\n",
        &[],
        "expert.toml:2: limit: `initial` must be between `min`, 1, and `max`, 8: 9",
    );
    refused("[limit]\nmin = 0\n", &[], "expert.toml:2: limit.min: must be at least 1: `0`");
}

#[test]
fn rollouts_have_a_state_and_a_tick_from_file_or_environment() {
    let variables = [("NANOGRID__ROLLOUTS__STATE", "run/rollouts.json")];
    let settings: RouterSettings = read("[rollouts]\ntick = \"250ms\"\n", &variables).expect("good");
    assert_eq!(settings.rollouts, RolloutHome::File("run/rollouts.json".into()));
    assert_eq!(settings.rollout_tick, Duration::from_millis(250));
    let memory: RouterSettings = read("[rollouts]\nstate = \"\"\n", &[]).expect("good");
    assert_eq!(memory.rollouts, RolloutHome::Nowhere);
    assert_eq!(RouterSettings::default().rollouts, RolloutHome::File("rollouts.json".into()));
}

#[test]
fn rollouts_of_several_routers_are_kept_in_kubernetes_and_then_not_in_a_file() {
    let usual: RouterSettings = read("[rollouts.kubernetes]\n", &[]).expect("good");
    assert_eq!(usual.rollouts, RolloutHome::Kubernetes(KubernetesSettings::default()));
    let variables = [
        ("NANOGRID__ROLLOUTS__KUBERNETES__NAMESPACE", "edge"),
        ("NANOGRID__ROLLOUTS__KUBERNETES__RETRY_PERIOD", "1s"),
    ];
    let settings: RouterSettings =
        read("[rollouts]\nstate = \"\"\nkubernetes.name = \"tries\"\n", &variables).expect("good");
    let expected = KubernetesSettings {
        name: "tries".to_owned(),
        namespace: Some("edge".to_owned()),
        retry_period: Duration::from_secs(1),
        ..KubernetesSettings::default()
    };
    assert_eq!(settings.rollouts, RolloutHome::Kubernetes(expected));

    router_refused(
        "[rollouts]\nstate = \"a.json\"\nkubernetes.name = \"tries\"\n",
        "expert.toml:2: rollouts: `state` is a file of one router and `kubernetes` is of many: keep one of them, or set \
         `state` to \"\": `a.json`",
    );
    router_refused(
        "[rollouts.kubernetes]\nname = \"My Tries\"\n",
        "expert.toml:2: rollouts.kubernetes.name: must be lower-case letters, digits and inner hyphens, at most 63, as \
         Kubernetes wants it: `My Tries`",
    );
    router_refused(
        "[rollouts.kubernetes]\nlease-duration = \"5s\"\n",
        "expert.toml:2: rollouts.kubernetes: `retry-period` must be below `renew-deadline`, and that below \
         `lease-duration`: 2s, 10s, 5s",
    );
    router_refused(
        "[rollouts.kubernetes]\nlease-duration = \"15500ms\"\n",
        "expert.toml:2: rollouts.kubernetes: `lease-duration` must be whole seconds: 15.5s",
    );
}

#[test]
fn admission_and_faults_come_from_file_or_environment() {
    let variables = [("NANOGRID__ADMISSION__MAX_IN_FLIGHT", "7"), ("NANOGRID__FAULTS__ALLOWED", "true")];
    let settings: RouterSettings = read("[faults]\nallowed = false\n", &variables).expect("good");
    assert_eq!((settings.max_in_flight, settings.faults_allowed), (7, true));
}

#[test]
fn what_clients_send_is_kept_only_where_the_settings_say_so() {
    assert!(!RouterSettings::default().keep_shadow_payload);
    let settings: RouterSettings = read("[shadow]\nkeep-payload = true\n", &[]).expect("good");
    assert!(settings.keep_shadow_payload);
}

#[test]
fn empty_variables_switch_off_what_is_optional() {
    let settings: ExpertSettings = read(
        "[telemetry]\notlp-endpoint = \"http://127.0.0.1:4317\"\n",
        &[("NANOGRID__TELEMETRY__OTLP_ENDPOINT", ""), ("NANOGRID__PACKAGES", "")],
    )
    .expect("good");
    assert_eq!(settings.telemetry.otlp_endpoint, None);
    assert_eq!(settings.packages, [] as [PathBuf; 0]);
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(b"[classifier]\npackage = \"\"\n").expect("writable");
    assert_eq!(layered::<RouterSettings>(Some(file.path()), []).expect("good").classifier, None);
}

#[test]
fn a_wrong_value_names_place_key_and_value() {
    refused(
        "[server]\n\nlisten = \"localhost\"\n",
        &[],
        "expert.toml:3: server.listen: invalid socket address syntax: `localhost`",
    );
    refused(
        "",
        &[("NANOGRID__SERVER__LISTEN", "localhost")],
        "environment variable NANOGRID__SERVER__LISTEN: server.listen: invalid socket address syntax: `localhost`",
    );
    refused(
        "[server]\nmax-message = \"big\"\n",
        &[],
        "expert.toml:2: server.max-message: must be an integer: `big`",
    );
    refused(
        "[server]\nmax-message = 1.5\n",
        &[],
        "expert.toml:2: server.max-message: must be an integer: `1.5`",
    );
    refused(
        "[server]\nmax-message = -1\n",
        &[],
        "expert.toml:2: server.max-message: must be an integer: `-1`",
    );
    refused(
        "[telemetry]\nsample = 1.5\n",
        &[],
        "expert.toml:2: telemetry.sample: must be between 0 and 1: `1.5`",
    );
    refused(
        "[telemetry]\notlp-endpoint = \"127.0.0.1:4317\"\n",
        &[],
        "expert.toml:2: telemetry.otlp-endpoint: must begin with `http://` or `https://`: `127.0.0.1:4317`",
    );
    refused(
        "[telemetry]\nlog-format = \"xml\"\n",
        &[],
        "expert.toml:2: telemetry.log-format: must be `text` or `json`: `xml`",
    );
    refused("server = 5\n", &[], "expert.toml:1: server: must be a table: `5`");
    refused("packages = [[1]]\n", &[], "expert.toml:1: packages: must be a list of paths");
}

#[test]
fn unknown_keys_are_refused_in_file_and_environment() {
    let known = "expected one of `listen`, `ops`, `max-message`, `drain`";
    refused(
        "[server]\nlisen = \"127.0.0.1:1\"\n",
        &[],
        &format!("expert.toml:2: server.lisen: unknown key, {known}: `127.0.0.1:1`"),
    );
    refused(
        "",
        &[("NANOGRID__SERVER__LISEN", "x")],
        &format!("environment variable NANOGRID__SERVER__LISEN: server.lisen: unknown key, {known}: `x`"),
    );
    refused(
        "[sever]\nlisten = \"127.0.0.1:1\"\n",
        &[],
        "expert.toml:2: sever: unknown key, expected one of `server`, `telemetry`, `packages`, `inference`, `limit`, `repository`",
    );
    refused(
        "",
        &[("NANOGRID__PACKAGES[999999999]", "x"), ("NANOGRID__A.B", "x"), ("NANOGRID__SERVER__", "x")],
        "environment variable NANOGRID__A.B: unknown key, expected NANOGRID__SECTION__KEY\n\
         environment variable NANOGRID__PACKAGES[999999999]: unknown key, expected NANOGRID__SECTION__KEY\n\
         environment variable NANOGRID__SERVER__: unknown key, expected NANOGRID__SECTION__KEY",
    );
    refused("\"packages[999999999]\" = 1\n", &[], "expert.toml:1: `packages[999999999]`: unknown key");
}

#[test]
fn all_problems_are_reported_at_once() {
    refused(
        "colour = \"red\"\n[server]\nlisten = \"a\"\n\n\n\n\n\n\n\n\n\nops = \"b\"\n",
        &[("NANOGRID__INFERENCE__WORKERS", "0")],
        "expert.toml:1: colour: unknown key, expected one of `server`, `telemetry`, `packages`, `inference`, `limit`, `repository`: `red`\n\
         expert.toml:3: server.listen: invalid socket address syntax: `a`\n\
         expert.toml:13: server.ops: invalid socket address syntax: `b`\n\
         environment variable NANOGRID__INFERENCE__WORKERS: inference.workers: must be at least 1: `0`",
    );
}

#[test]
fn limits_of_the_router_hold_together() {
    router_refused(
        "[request]\ndefault-deadline = \"20s\"\n",
        "expert.toml:2: request: `default-deadline` must not be above `max-deadline`, 10s: 20s",
    );
    router_refused(
        "[request]\nmax-experts = 0\n",
        "expert.toml:2: request.max-experts: must be at least 1: `0`",
    );
    router_refused(
        "[grid]\nreload-every = \"0s\"\n",
        "expert.toml:2: grid.reload-every: must be a time above 0 such as \"250ms\" or \"2s\": `0s`",
    );
    router_refused(
        "[grid]\nreload-every = 5\n",
        "expert.toml:2: grid.reload-every: must be a time above 0 such as \"250ms\" or \"2s\": `5`",
    );
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let error = layered::<ExpertSettings>(Some(Path::new("/nowhere/expert.toml")), []).expect_err("missing");
    assert!(error.to_string().starts_with("/nowhere/expert.toml: cannot be read: "), "{error}");
    refused("[server\n", &[], "expert.toml:1: unclosed table, expected `]`");
}

#[test]
fn the_classifiers_promise_and_its_optional_experts_come_from_file_and_environment() {
    let file = "[classifier]\nalpha = 0.05\noptional = [\"spam\", \"tech-topic\"]\n";
    let names = |router: &RouterSettings| {
        router.classify_optional.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    let router: RouterSettings = read(file, &[]).expect("good");
    assert_eq!(
        (router.classify_alpha, names(&router)),
        (0.05, vec!["spam".to_owned(), "tech-topic".to_owned()])
    );
    let variables =
        [("NANOGRID__CLASSIFIER__ALPHA", "0.1"), ("NANOGRID__CLASSIFIER__OPTIONAL", "guard, pii")];
    let router: RouterSettings = read(file, &variables).expect("good");
    assert_eq!((router.classify_alpha, names(&router)), (0.1, vec!["guard".to_owned(), "pii".to_owned()]));
    let router: RouterSettings = read(file, &[("NANOGRID__CLASSIFIER__OPTIONAL", "")]).expect("good");
    assert_eq!(names(&router), Vec::<String>::new());
    router_refused(
        "[classifier]\nalpha = 1\n",
        "expert.toml:2: classifier.alpha: must be above 0 and below 1: `1`",
    );
    router_refused(
        "[classifier]\noptional = [\"No Name\"]\n",
        "expert.toml:2: classifier.optional: must be lower-case words joined by hyphens, e.g. `translate-en-de`: `No Name`",
    );
}

#[test]
fn nobody_is_escalated_to_unless_somebody_is_named() {
    let to = |file: &str, variables: &[(&str, &str)]| {
        let router: RouterSettings = read(file, variables).expect("good");
        router.escalation.map(|escalation| escalation.name().to_string())
    };
    assert_eq!(to("", &[]), None);
    assert_eq!(to("[escalation]\nexpert = \"big-model\"\n", &[]).as_deref(), Some("big-model"));
    assert_eq!(to("[escalation]\nexpert = \"big-model\"\n", &[("NANOGRID__ESCALATION__EXPERT", "")]), None);
}

const OPENAI: &str = "[escalation.openai]\nurl = \"https://api.example.com/\"\nmodel = \"large-1\"\n";

fn openai(file: &str, variables: &[(&str, &str)]) -> OpenAiSettings {
    let router: RouterSettings = read(file, variables).expect("good");
    match router.escalation {
        Some(Escalation::OpenAi(openai)) => openai,
        other => panic!("not to an OpenAI-compatible server: {other:?}"),
    }
}

#[test]
fn a_bigger_model_can_be_behind_an_openai_compatible_server() {
    let defaults = openai(OPENAI, &[]);
    assert_eq!(
        (defaults.url.as_str(), defaults.model.as_str(), defaults.name.as_str(), defaults.system.as_str()),
        ("https://api.example.com", "large-1", "openai", "")
    );
    assert_eq!((defaults.max_tokens.get(), defaults.max_in_flight.get()), (256, 8));
    assert_eq!(defaults.max_response_bytes.get(), 1 << 20);
    assert_eq!(defaults.api_key().expect("none is needed"), None);
    let off: RouterSettings = read(OPENAI, &[("NANOGRID__ESCALATION__OPENAI__URL", "")]).expect("good");
    assert_eq!(off.escalation, None);
    let other = openai(&format!("{OPENAI}name = \"big\"\nmax-tokens = 9\n"), &[]);
    assert_eq!((other.name.as_str(), other.max_tokens.get()), ("big", 9));
}

#[test]
fn an_openai_compatible_server_that_cannot_be_asked_is_refused() {
    router_refused(
        &format!("[escalation]\nexpert = \"big\"\n{OPENAI}"),
        "expert.toml:2: escalation: `expert` and `openai` exclude each other: leave one out",
    );
    let openai_refused = |table: &str, problem: &str| {
        let file = format!("[escalation.openai]\n{table}");
        router_refused(&file, &format!("expert.toml:2: escalation.openai: {problem}"));
    };
    openai_refused("model = \"large-1\"\n", "`url` is missing");
    openai_refused(
        "url = \"https://api.example.com/v1/\"\nmodel = \"large-1\"\n",
        "`url` must end before `/v1`, since `/v1/chat/completions` is added to it: `https://api.example.com/v1/`",
    );
    openai_refused(
        "url = \"api.example.com\"\nmodel = \"large-1\"\n",
        "`url` must begin with `http://` or `https://`: `api.example.com`",
    );
    openai_refused("url = \"https://api.example.com\"\n", "`model` must be the server's name for the model");
    router_refused(
        &format!("{OPENAI}max-in-flight = 0\n"),
        "expert.toml:4: escalation.openai.max-in-flight: must be at least 1: `0`",
    );
}

#[test]
fn an_api_key_is_read_and_never_printed() {
    const SECRET: &str = "sk-what-nobody-may-read";
    let of = |settings: &OpenAiSettings| settings.api_key().expect("readable").expect("a key");
    let given = openai(OPENAI, &[("NANOGRID__ESCALATION__OPENAI__API_KEY", SECRET)]);
    assert_eq!(of(&given).reveal(), SECRET);
    assert!(!format!("{given:?} {:?}", of(&given)).contains(SECRET), "{given:?}");

    let mut file = NamedTempFile::new().expect("a temporary file");
    writeln!(file, "{SECRET}").expect("writable");
    let with_file = |path: &Path| openai(&format!("{OPENAI}api-key-file = {path:?}\n"), &[]);
    assert_eq!(of(&with_file(file.path())).reveal(), SECRET, "without the end of its line");
    let missing = with_file(Path::new("/nowhere/key")).api_key().expect_err("missing").to_string();
    assert!(missing.starts_with("/nowhere/key: cannot be read: "), "{missing}");
    let empty = NamedTempFile::new().expect("a temporary file");
    let empty = with_file(empty.path()).api_key().expect_err("empty").to_string();
    assert!(empty.ends_with(": must hold the API key, and is empty"), "{empty}");

    let wrong = [
        format!("{OPENAI}api-key = \"{SECRET}\"\napi-key-file = \"/run/secrets/key\"\n"),
        format!("{OPENAI}api_key = \"{SECRET}\"\n"),
        format!("{OPENAI}apikey = \"{SECRET}\"\n"),
    ];
    for file in &wrong {
        let problem = read::<RouterSettings>(file, &[]).expect_err("wrong");
        assert!(problem.contains("escalation.openai") && !problem.contains(SECRET), "{problem}");
    }
}
