//! A real store on loopback, a stand-in for kubectl that leads to it, and an estate that was really evaluated.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sv0_engine::convert::labels;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Used};
use sv0_graph::NodeKind;
use sv0_graph::testing::SnapshotBuilder;
use sv0_graph::write_snapshot;
use sv0_protocol::store::LiveInstances;
use sv0_protocol::{EvaluateInput, StoreAccess, store};
use sv0_store::backend::Backend;
use sv0_store::client::{ScanTarget, StoreClient};
use sv0_store::gate::{Gate, ReviewError, Reviewed, Reviewer};
use sv0_store::http::{App, router};
use sv0_store::keys::{Namespace, Uid};
use sv0_store::metrics::Metrics;
use sv0_store::objects::{Bounds, Objects};
use sv0_store::serve;
use sv0_store::tls::{Current, Identity, server_names};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const OPERATOR: &str = "securityv0-system";
pub(crate) const UID: &str = "00000000-0000-4000-8000-000000000001";
const SCAN_ID: &str = "01764000000000-0123abcd";

/// Accepts tokens of the form `<namespace>:<account>|<audience>`.
struct Spoken;

impl Reviewer for Spoken {
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        let reviewed = token.split_once('|').and_then(|(account, audience)| {
            let audiences: Vec<_> = audiences.iter().filter(|a| *a == audience).cloned().collect();
            let username = format!("system:serviceaccount:{account}");
            (!audiences.is_empty()).then_some(Reviewed { username, audiences })
        });
        async move { Ok(reviewed) }.boxed()
    }

    fn namespace_uid<'a>(&'a self, _: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        async { Ok(Uid::parse("6f9619ff-8b86-d011-b42d-00cf4fc964ff").ok()) }.boxed()
    }
}

/// The estate `team-a`, evaluated once, with its store and a kubectl.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) evaluation: Evaluation,
    pub(crate) port: u16,
    access: StoreAccess,
    _stop: tokio_util::sync::DropGuard,
}

pub(crate) fn identity() -> Identity {
    let names = server_names(&Namespace::parse(OPERATOR).unwrap());
    Identity::create(&names, time::OffsetDateTime::now_utc()).unwrap()
}

impl World {
    /// At most `most` Findings stand as resources.
    pub(crate) async fn start(most: usize) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let objects = Backend::Filesystem(dir.path().join("store")).open().unwrap();
        let bounds = Bounds { quota_bytes: 9_000_000, estate_quota_bytes: 9_000_000, grace: Duration::from_hours(1) };
        let objects = Arc::new(Objects::new(objects, bounds));
        let gate = Gate::new(Arc::new(Spoken), &Namespace::parse(OPERATOR).unwrap());
        let app = App::new(gate, objects, Metrics::new().unwrap(), 0);
        let identity = identity();
        let current = Current::new(&identity).unwrap();
        let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        tokio::spawn(serve::tls(
            listener,
            current.server_config().unwrap(),
            router(app),
            stop.clone().cancelled_owned(),
        ));
        let access =
            StoreAccess { url: format!("https://securityv0-store.{OPERATOR}.svc:8443"), ca_pem: identity.ca_pem() };
        let evaluation = fill(&access, port, most).await;
        let world = Self { dir, evaluation, port, access, _stop: stop.drop_guard() };
        world.kubectl();
        world.answer("configmap", &json!({"data": {"ca.crt": identity.ca_pem()}}));
        world.answer("forward", &json!(null));
        std::fs::write(world.path("port"), port.to_string()).unwrap();
        let status = json!({"packDigest": world.evaluation.pack.digest, "ledger": world.evaluation.ledger.digest});
        world.status(&status);
        world.standing(&world.objects());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store loses every part of a snapshot, as retention takes them; says how many there were.
    pub(crate) fn lose_snapshots(&self) -> usize {
        let mut lost = 0;
        let mut left = vec![self.path("store")];
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else if path.components().any(|part| part.as_os_str() == "parts") {
                    std::fs::remove_file(path).unwrap();
                    lost += 1;
                }
            }
        }
        lost
    }

    fn answer(&self, what: &str, answer: &Value) {
        std::fs::write(self.path(what), answer.to_string()).unwrap();
    }

    /// What the Estate's status says.
    pub(crate) fn status(&self, status: &Value) {
        self.answer(
            "estate",
            &json!({
                "apiVersion": "securityv0.com/v1alpha1", "kind": "Estate",
                "metadata": {"name": "default", "namespace": "team-a"}, "spec": {}, "status": status,
            }),
        );
    }

    /// Which authority the operator published.
    pub(crate) fn authority(&self, pem: &str) {
        self.answer("configmap", &json!({"data": {"ca.crt": pem}}));
    }

    /// The Findings as the evaluation's Job wrote them.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let object = |(name, spec): (&String, &sv0_api::FindingSpec)| {
            json!({
                "apiVersion": "securityv0.com/v1alpha1", "kind": "Finding",
                "metadata": {"name": name, "namespace": "team-a", "labels": labels(spec)}, "spec": spec,
            })
        };
        self.evaluation.findings.iter().map(object).collect()
    }

    /// Which Findings stand in the cluster.
    pub(crate) fn standing(&self, objects: &[Value]) {
        self.answer("findings", &json!({"apiVersion": "v1", "kind": "List", "items": objects}));
    }

    /// Answers with the files above; a token says whom and what it is for; a forward leads to the port in `port`.
    fn kubectl(&self) {
        let script = r#"#!/bin/sh
dir=$(dirname "$0")
echo "$*" >> "$dir/calls"
for word in "$@"; do
  case $word in
    --namespace=*) namespace=${word#--namespace=} ;;
    --audience=*) audience=${word#--audience=} ;;
  esac
done
case "$1 $2" in
  "get configmap") cat "$dir/configmap" ;;
  "get estates.securityv0.com") cat "$dir/estate" ;;
  "get findings.securityv0.com") cat "$dir/findings" ;;
  "create token") echo "$namespace:$3|$audience" ;;
  "port-forward "*)
    if [ -e "$dir/forbidden" ]; then echo 'error: pods "x" is forbidden' >&2; exit 1; fi
    echo $$ > "$dir/forward.pid"
    echo "Forwarding from 127.0.0.1:$(cat "$dir/port") -> 8443"
    exec sleep 600 ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"#;
        let path = self.path("kubectl");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn calls(&self) -> String {
        std::fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"));
        command.args(arguments).env("SV0_KUBECTL", self.path("kubectl")).current_dir(self.dir.path());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What an evaluation of the estate tells the store: the instances that there are.
    pub(crate) async fn tell(&self, instances: &[&str]) {
        let token = format!("{OPERATOR}:evaluate-team-a|{}", store::evaluate_audience("team-a"));
        let client = StoreClient::held(&self.access, token.into(), ([127, 0, 0, 1], self.port).into()).unwrap();
        let instances = instances.iter().map(|uid| (*uid).to_owned()).collect();
        client.tell_instances("team-a", &LiveInstances { instances, orphaned_days: 7 }).await.unwrap();
    }

    /// The process id of the last forward.
    pub(crate) fn forward(&self) -> Option<String> {
        Some(std::fs::read_to_string(self.path("forward.pid")).ok()?.trim().to_owned())
    }
}

/// Whether a process still does something.
pub(crate) fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    // "PID (NAME) STATE ...": Z has ended, and waits for somebody to hear of it.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Scans, evaluates, and stores everything with the accounts that do so in a cluster.
async fn fill(access: &StoreAccess, port: u16, most: usize) -> Evaluation {
    let client = |token: String| StoreClient::held(access, token.into(), ([127, 0, 0, 1], port).into()).unwrap();
    let mut builder = SnapshotBuilder::entra(UID, crate::estate::TENANT);
    SCAN_ID.clone_into(&mut builder.header().scan_id);
    let tenant = builder.header().tenant.clone();
    builder.node("organization", NodeKind::System, &tenant, &[]);
    crate::estate::weak_identities(&mut builder);
    // One more, so that there is a finding for each thing that is done to one.
    crate::estate::identity(&mut builder, "spare bot", Some(("2025-12-01T00:00:00Z", "2026-05-31T00:00:00Z")));
    let snapshot = builder.build();
    let encoded = write_snapshot(snapshot.header.clone(), builder.rows()).unwrap();
    let header = snapshot.header.clone();

    let scan = client(format!("team-a:scanner|{}", store::scan_audience("team-a", &header.instance, UID)));
    let to = ScanTarget { namespace: "team-a".into(), instance: header.instance.clone(), instance_uid: UID.into() };
    for part in encoded.parts {
        scan.put_part(&to, part.bytes.into()).await.unwrap();
    }
    let digest = scan.put_manifest(&to, SCAN_ID, encoded.manifest_bytes.into()).await.unwrap();

    let order = EvaluateInput {
        instance: header.instance,
        instance_uid: header.instance_uid,
        system: header.system,
        tenant: header.tenant,
        snapshot_id: header.scan_id,
        snapshot_digest: digest.clone(),
    };
    let config = Config {
        as_of: "2026-01-10T12:00:00Z".parse().unwrap(),
        estate: sv0_api::EstateSpec::default(),
        waiting: vec![],
        max_findings: most,
        exceptions: Vec::new(),
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        ledger: None,
        history_lost: false,
        threads: 1,
    };
    let input = Input { order, quarantined: None, used: Some(Used { digest, snapshot }) };
    let evaluation = evaluate(vec![input], Ledger::default(), &config).unwrap();
    let evaluate = client(format!("{OPERATOR}:evaluate-team-a|{}", store::evaluate_audience("team-a")));
    evaluate.put_pack("team-a", Bytes::from(evaluation.pack.bytes.clone())).await.unwrap();
    evaluate.put_ledger("team-a", Bytes::from(evaluation.ledger.bytes.clone())).await.unwrap();
    evaluation
}
