//! Envelopes against a vendor on loopback that answers by a script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Json, State};
use axum::response::{IntoResponse as _, Response};
use rstest::rstest;
use serde_json::{Value, json};
use sv0_connector::{
    Connector as _, EngineConfig, Limits, NetworkPolicy, Pause, Secret, TokenError, TokenSource,
    install_crypto_provider,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::*;
use crate::{Config, Entra};

#[derive(Debug, PartialEq, Deserialize)]
struct Thing {
    id: String,
}

/// What one read inside an envelope is answered with: by the number of the account, and how often it was asked before.
type Script = Box<dyn Fn(usize, usize) -> Option<Value> + Send + Sync>;

struct Vendor {
    script: Script,
    /// The paths of each envelope.
    envelopes: Mutex<Vec<Vec<String>>>,
}

async fn answer(State(vendor): State<Arc<Vendor>>, Json(body): Json<Value>) -> Response {
    let requests = body["requests"].as_array().unwrap();
    let paths: Vec<String> = requests.iter().map(|request| request["url"].as_str().unwrap().to_owned()).collect();
    let mut envelopes = vendor.envelopes.lock().unwrap();
    let mut responses = Vec::new();
    for (request, path) in requests.iter().zip(&paths) {
        let times = envelopes.iter().flatten().filter(|asked| *asked == path).count();
        if let Some(mut response) = (vendor.script)(number(path), times) {
            if response.get("id").is_none() {
                response["id"] = request["id"].clone();
            }
            responses.push(response);
        }
    }
    envelopes.push(paths);
    // The vendor answers in any order.
    responses.reverse();
    Json(json!({ "responses": responses })).into_response()
}

/// Notes how long it was asked to wait, and does not.
#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Pause for Waits {
    fn pause(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(time);
        Box::pin(async {})
    }
}

struct Token;

impl TokenSource for Token {
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, TokenError>> {
        Box::pin(async { Ok(Arc::new(Secret::new("token".to_owned()))) })
    }

    fn reject(&self, _: &Arc<Secret>) {}
}

struct Asked {
    answers: Vec<(usize, Result<Thing, Failure>)>,
    envelopes: Vec<Vec<String>>,
    waits: Vec<Duration>,
}

impl Asked {
    /// Each answer as one word: the id that came, or why none did.
    fn words(&self) -> Vec<String> {
        let word = |answer: &Result<Thing, Failure>| match answer {
            Ok(thing) => thing.id.clone(),
            Err(failure) => format!("{:?}", failure.cause),
        };
        self.answers.iter().map(|(_, answer)| word(answer)).collect()
    }
}

/// Asks for the accounts 0 to `reads`, each by a read of its own.
async fn ask(reads: usize, script: impl Fn(usize, usize) -> Option<Value> + Send + Sync + 'static) -> Asked {
    install_crypto_provider();
    let vendor = Arc::new(Vendor { script: Box::new(script), envelopes: Mutex::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&vendor));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let config = Config { tenant_id: guid(0), client_id: guid(1), uses_client_secret: true, has_sign_in_reports: true };
    let manifest = Arc::new(Entra::new(config).unwrap().manifest().clone());
    let waits = Arc::new(Waits::default());
    let config = EngineConfig {
        hosts: manifest.operations.iter().map(|o| (o.host.clone(), origin.clone())).collect::<BTreeMap<_, _>>(),
        limits: Limits { max_requests: 1_000, max_response_bytes: 1 << 20, max_pages: 10, concurrency: 4 },
        network: NetworkPolicy { private_hosts: vec!["127.0.0.1".to_owned()], ..NetworkPolicy::default() },
        accepted_revision: manifest.collection_revision,
        deadline: Instant::now() + Duration::from_mins(10),
        stop: CancellationToken::new(),
        pause: Arc::clone(&waits) as Arc<dyn Pause>,
    };
    let engine = Engine::new(manifest, config, Arc::new(Token)).unwrap();
    let requests: Vec<Prepared> =
        (0..reads).map(|n| engine.guard().prepare("getDeletedUser", &[("id", Param::Id(&guid(n)))]).unwrap()).collect();
    let mut answers = Vec::new();
    let mut coming = batch::<Thing>(&engine, &requests);
    while let Some(answer) = coming.next().await {
        answers.push(answer);
    }
    drop(coming);
    let envelopes = vendor.envelopes.lock().unwrap().clone();
    let waits = waits.0.lock().unwrap().clone();
    Asked { answers, envelopes, waits }
}

fn guid(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Which account a path asks for.
fn number(path: &str) -> usize {
    let at = path.find("-8000-").unwrap() + 6;
    path[at..at + 12].parse().unwrap()
}

fn good(n: usize) -> Value {
    json!({"status": 200, "body": {"id": format!("thing {n}")}})
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_reads_twenty_to_an_envelope() {
    let asked = ask(41, |n, _| Some(good(n))).await;
    let expected: Vec<_> = (0..41).map(|n| (n, Ok(Thing { id: format!("thing {n}") }))).collect();
    let got: Vec<_> = asked.answers.into_iter().map(|(at, answer)| (at, answer.map_err(|f| f.cause))).collect();
    assert_eq!(got, expected);
    let mut sizes: Vec<_> = asked.envelopes.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 20, 20]);
    assert!(asked.waits.is_empty());
}

/// What each answer inside an envelope means, without another try.
#[rstest]
#[case::no_object(json!({"status": 200, "body": {"other": 1}}), Cause::ResponseMalformed)]
#[case::no_body(json!({"status": 200}), Cause::ResponseMalformed)]
#[case::an_error_that_is_said_to_be_good(json!({"status": 200, "body": {"error": {"code": "x"}}}), Cause::ResponseMalformed)]
#[case::a_body_that_comes_with_a_refusal(json!({"status": 403, "body": {"id": "thing"}}), Cause::PermissionMissing)]
#[case::refused(json!({"status": 403, "body": {"error": {"code": "Authorization_RequestDenied"}}}), Cause::PermissionMissing)]
#[case::refused_without_a_word(json!({"status": 403}), Cause::PermissionMissing)]
#[case::no_licence(
    json!({"status": 403, "body": {"error": {"code": "Authentication_RequestFromNonPremiumTenantOrB2CTenant"}}}),
    Cause::LicenseMissing
)]
#[case::not_there(json!({"status": 404, "body": {"error": {"code": "Request_ResourceNotFound"}}}), Cause::NotFound)]
#[case::just_below_good(json!({"status": 199, "body": {"id": "thing"}}), Cause::UpstreamUnavailable)]
#[case::just_above_good(json!({"status": 300, "body": {"id": "thing"}}), Cause::ResponseRefused)]
#[case::the_last_that_is_not_asked_again(json!({"status": 499, "body": {"id": "thing"}}), Cause::UpstreamUnavailable)]
#[tokio::test]
async fn each_answer_has_its_meaning(#[case] answer: Value, #[case] cause: Cause) {
    let asked = ask(2, move |n, _| Some(if n == 0 { answer.clone() } else { good(n) })).await;
    assert_eq!(asked.words(), [format!("{cause:?}"), "thing 1".to_owned()]);
    assert_eq!(asked.envelopes.len(), 1);
}

/// Reads that are throttled or fail are asked again, alone, after the longest wait that the vendor names.
#[tokio::test]
async fn only_what_was_not_answered_is_asked_again() {
    let asked = ask(5, |n, before| {
        let wait = |status: u16, seconds: &str| json!({"status": status, "headers": {"Retry-After": seconds}});
        match (n, before) {
            (1, 0) => Some(wait(429, "3")),
            (2, 0) => Some(wait(500, "7")),
            (3, 0) => Some(wait(503, "5")),
            (3, 1) => Some(json!({"status": 599, "headers": {"retry-after": "2"}})),
            _ => Some(good(n)),
        }
    })
    .await;
    assert_eq!(asked.words(), ["thing 0", "thing 1", "thing 2", "thing 3", "thing 4"]);
    let numbers: Vec<Vec<usize>> =
        asked.envelopes.iter().map(|e| e.iter().map(|path| number(path)).collect()).collect();
    assert_eq!(numbers, [vec![0, 1, 2, 3, 4], vec![1, 2, 3], vec![3]]);
    assert_eq!(asked.waits, [Duration::from_secs(7), Duration::from_secs(2)]);
}

/// One read that is throttled to the end says why the others, that failed beside it, have no answer.
#[rstest]
#[case::throttled(429, 429, "RateLimited")]
#[case::down(500, 503, "UpstreamUnavailable")]
#[case::both(503, 429, "RateLimited")]
#[tokio::test]
async fn patience_ends(#[case] first: u16, #[case] second: u16, #[case] cause: &str) {
    let asked = ask(3, move |n, _| match n {
        0 => Some(json!({"status": first})),
        1 => Some(json!({"status": second})),
        _ => Some(good(n)),
    })
    .await;
    assert_eq!(asked.words(), [cause, cause, "thing 2"]);
    assert_eq!(asked.envelopes.len(), 8);
    // Without a word of the vendor each wait is twice the one before, up to half a minute.
    assert_eq!(asked.waits, [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs));
}

/// A read that the envelope leaves out, or answers under another's name, is not asked for ever.
#[tokio::test]
async fn what_is_not_answered_is_malformed() {
    let asked = ask(3, |n, _| match n {
        0 => None,
        1 => Some(json!({"id": "3", "status": 200, "body": {"id": "nobody's"}})),
        _ => Some(json!({"id": "none", "status": 200, "body": {"id": "nobody's"}})),
    })
    .await;
    assert_eq!(asked.words(), ["ResponseMalformed"; 3]);
    assert_eq!(asked.envelopes.len(), 1);

    let asked = ask(2, |n, _| (n == 1).then(|| json!({"status": 429, "headers": {"Retry-After": "1"}}))).await;
    assert_eq!(asked.words(), ["ResponseMalformed", "RateLimited"]);
    assert_eq!(asked.envelopes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1, 1, 1, 1, 1]);
}
