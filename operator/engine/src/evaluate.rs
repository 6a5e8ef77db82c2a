//! The evaluation itself: takes decoded snapshots, the previous ledger and a configuration; gives what the estate's
//! Findings, its status, the ledger and the evidence pack shall be.
//!
//! A function in the mathematical sense: no clock, no I/O, no environment. Equal inputs give equal bytes for any order
//! of snapshots and any number of threads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sv0_api::{EstateSpec, FindingSpec, FindingState};
use sv0_graph::{Graph, Header, Packed, Snapshot, TooManyRows};
use sv0_protocol::{EvaluateInput, EvaluateRequest};
use sv0_rules::{Baseline, Memory};

use crate::accept::{Exception, ExceptionNote, accept, ends};
use crate::baseline::{self, BaselineNote};
use crate::bounds::{Bounds, TooLarge};
use crate::fold::{fold, fold_through};
use crate::gaps::{Gap, Seen, gaps};
use crate::history::{self, InstanceMemory, View, observe};
use crate::ledger::{LEDGER_FORMAT, Ledger, LedgerError, LedgerView, RememberedInstance, RememberedSnapshot};
use crate::load::{Input, MAX_SNAPSHOT_BYTES};
use crate::merge::{Held, Merged, Removal, Situation, let_go, merge, retention_ends};
use crate::pack::{Conclusion, PackError, write_pack};
use crate::{aged, convert, fire};

/// Evaluations happen at least this often.
const BACKSTOP: SignedDuration = SignedDuration::from_hours(24);

/// Everything besides snapshots and ledger that decides the result. The evidence pack holds it as it stands here, so
/// that a replay has it; a field that is added needs a default for packs that do not have it yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The instant that stands for "now"; fractions of a second are cut off.
    pub as_of: Timestamp,
    /// The Estate's spec.
    pub estate: EstateSpec,
    /// UIDs of live instances without a usable snapshot.
    pub waiting: Vec<String>,
    /// The estate's accepted risks, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// Most Findings kept as resources.
    pub max_findings: usize,
    /// Most uncompressed bytes of one snapshot; a larger one was set aside.
    #[serde(default = "max_snapshot_bytes")]
    pub max_snapshot_bytes: u64,
    /// Digest of the previous ledger, by which whoever computes this again finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// The store no longer had that ledger, and the evaluation started afresh.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history_lost: bool,
    /// Threads for the rules; never changes the result.
    #[serde(skip, default = "one")]
    pub threads: usize,
}

/// The snapshots of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources<S = Snapshot> {
    /// One per ordered instance.
    pub inputs: Vec<Input<S>>,
    /// What drift is measured from, by tenant, reduced before the inputs were read: two graphs need not be held at a time.
    /// A baseline that is wanted and not here is told as unreadable.
    pub baselines: Vec<Baseline>,
}

impl<S> From<Vec<Input<S>>> for Sources<S> {
    fn from(inputs: Vec<Input<S>>) -> Self {
        Self { inputs, baselines: Vec::new() }
    }
}

const fn max_snapshot_bytes() -> u64 {
    MAX_SNAPSHOT_BYTES
}

const fn one() -> usize {
    1
}

impl Config {
    /// What `order` says, with the accepted risks that it names. An Estate without a spec is one with all defaults; one
    /// that has a spec which cannot be read is an error.
    pub fn ordered(order: &EvaluateRequest, exceptions: Vec<Exception>, threads: usize) -> serde_json::Result<Self> {
        let estate = match &order.estate_spec {
            serde_json::Value::Null => EstateSpec::default(),
            spec => EstateSpec::deserialize(spec)?,
        };
        Ok(Self {
            as_of: order.as_of,
            estate,
            waiting: order.waiting.clone(),
            exceptions,
            max_findings: usize::try_from(order.max_findings).unwrap_or(usize::MAX),
            max_snapshot_bytes: order.max_snapshot_bytes.unwrap_or(MAX_SNAPSHOT_BYTES),
            ledger: order.ledger.clone(),
            history_lost: false,
            threads,
        })
    }

    /// The one form of equal configurations: whole seconds, lists as the sets that they are.
    fn normal(&self) -> Self {
        let mut config = self.clone();
        config.as_of = whole_seconds(config.as_of);
        config.waiting.sort_unstable();
        config.waiting.dedup();
        config.exceptions.sort_unstable_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
        config
    }
}

/// What an evaluation concludes.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The Findings that shall stand in the estate, by name.
    pub findings: BTreeMap<String, FindingSpec>,
    /// Findings that another one tells, by name: they stand in the pack and in the ledger.
    pub folded: BTreeMap<String, Folded>,
    /// Findings in numbers, those too that were cut off.
    pub tally: Tally,
    /// Snapshots that were evaluated, set aside or not usable, in the order of instance UIDs.
    pub inputs: Vec<InputNote>,
    /// What drift was measured from, in the order of instance UIDs.
    pub baselines: Vec<BaselineNote>,
    /// What could not be relied on, most serious first.
    pub gaps: Vec<Gap>,
    /// What became of each exception, in the order of names.
    pub exceptions: Vec<ExceptionNote>,
    /// The earliest instant at which time alone may change a finding, one day from now at the latest.
    pub next_transition: Timestamp,
    /// Most pieces of evidence of a finding in the pack, when it is fewer than the rules keep: else it would be too large.
    pub most_evidence: Option<usize>,
    /// Names of instances of which what was remembered of use is forgotten: else the ledger would be too large.
    pub forgotten: Vec<String>,
    /// The next ledger.
    pub ledger: Stored,
    /// The evidence pack.
    pub pack: Stored,
}

/// A finding that does not stand for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// Name of the finding that tells it.
    pub under: String,
    /// What it says.
    pub spec: FindingSpec,
}

/// Which findings stand as resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Names of those that do.
    pub kept: BTreeSet<String>,
    /// By name of those that another one tells, the name of that one.
    pub folded: BTreeMap<String, String>,
}

/// Bytes for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What to store.
    pub bytes: Vec<u8>,
    /// `sha256:<hex>` of it.
    pub digest: String,
}

/// What became of one ordered snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputNote {
    /// Name of the instance.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// `entra`, ...
    pub system: String,
    /// The tenant in the instance's spec.
    pub tenant: String,
    /// The ordered snapshot.
    pub snapshot_id: String,
    /// Its digest.
    pub snapshot_digest: String,
    /// Why the ordered snapshot was set aside: one of our words.
    pub quarantined: Option<&'static str>,
    /// Id and digest of the snapshot that was evaluated; none when nothing readable was left.
    pub used: Option<(String, String)>,
}

/// Findings in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Open findings by severity rank, 1 to 5. Those whose risk is accepted are not among them.
    pub by_rank: BTreeMap<i32, usize>,
    /// Those of them that stand as resources.
    pub kept_by_rank: BTreeMap<i32, usize>,
    /// Open findings by family.
    pub by_family: BTreeMap<String, usize>,
    /// Findings that hold and whose risk nobody accepts.
    pub open: usize,
    /// Findings that were proven gone.
    pub resolved: usize,
    /// Findings whose risk is accepted.
    pub accepted: usize,
    /// Findings that stay from earlier evaluations, since nothing now says whether they still hold.
    pub unseen: usize,
    /// Findings that were cut off and stand in the pack only.
    pub truncated: usize,
    /// Findings that another one tells; counted nowhere else.
    pub folded: usize,
    /// Findings that left, by reason.
    pub removed: BTreeMap<&'static str, usize>,
    /// Open findings by rule: for logs.
    pub by_rule: BTreeMap<String, usize>,
    /// Facts that are not findings, since nothing runs unattended on them or their authority is small; by rule.
    pub outside_lane: BTreeMap<String, u64>,
}

/// Why an evaluation has no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The estate is too large for one graph.
    #[error(transparent)]
    TooManyRows(#[from] TooManyRows),
    /// A finding cannot be encoded.
    #[error("a finding cannot be written as JSON")]
    Convert(#[from] serde_json::Error),
    /// The next ledger cannot be encoded.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The pack cannot be encoded.
    #[error(transparent)]
    Pack(PackError),
    /// What would be stored could not be read again.
    #[error(
        "the {kind} would have {bound} and could not be read again, for the estate has {findings} findings; {most} of them are of {instance}: make that instance in an estate of its own, or let it read less"
    )]
    TooLarge {
        /// Evidence pack or ledger.
        kind: &'static str,
        /// The bound that it would pass.
        bound: TooLarge,
        /// Findings that hold or are remembered.
        findings: usize,
        /// Name of the instance with most of them.
        instance: String,
        /// How many are of that.
        most: usize,
    },
}

impl EngineError {
    fn too_large(kind: &'static str, bound: TooLarge, merged: &Merged) -> Self {
        let mut by_instance: BTreeMap<&str, usize> = BTreeMap::new();
        for held in merged.held.values() {
            *by_instance.entry(&held.remembered.spec.subject.instance).or_default() += 1;
        }
        let most = by_instance.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
        let (instance, most) = most.unwrap_or_default();
        Self::TooLarge { kind, bound, findings: merged.held.len(), instance: instance.to_owned(), most }
    }
}

/// What has just been done, for whoever measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The graph of the estate stands.
    Built {
        /// Nodes, those too that others only refer to.
        nodes: usize,
        /// Edges.
        edges: usize,
    },
    /// Every derivation ran.
    Derived,
    /// How far everything is from every class of targets is known.
    Searched,
    /// The rules ran, and what they found is converted.
    Fired,
    /// It is merged with what was found before.
    Merged,
}

/// Evaluates an estate.
pub fn evaluate<S>(sources: impl Into<Sources<S>>, previous: Ledger, config: &Config) -> Result<Evaluation, EngineError>
where
    S: Into<Packed> + AsRef<Header>,
{
    evaluate_watched(sources, previous, config, &mut |_| {})
}

/// The same, telling `done` of each step: nothing here has a clock, whoever measures brings one.
pub fn evaluate_watched<S>(
    sources: impl Into<Sources<S>>,
    previous: Ledger,
    config: &Config,
    done: &mut dyn FnMut(Step),
) -> Result<Evaluation, EngineError>
where
    S: Into<Packed> + AsRef<Header>,
{
    evaluate_within(sources, previous, config, &Bounds::default(), done)
}

/// The same within `bounds`.
pub fn evaluate_within<S>(
    sources: impl Into<Sources<S>>,
    previous: Ledger,
    config: &Config,
    bounds: &Bounds,
    done: &mut dyn FnMut(Step),
) -> Result<Evaluation, EngineError>
where
    S: Into<Packed> + AsRef<Header>,
{
    let Sources { mut inputs, baselines } = sources.into();
    inputs.sort_by(|a, b| a.order.instance_uid.cmp(&b.order.instance_uid));
    let config = &config.normal();
    let views = observe_all(&inputs, &previous);
    let notes: Vec<InputNote> = inputs.iter().map(note).collect();
    let live = live(&inputs, config);
    let revisions = inputs.iter().filter_map(revision).collect();
    let orders: Vec<EvaluateInput> = inputs.iter().map(|input| input.order.clone()).collect();
    let wanted = baseline::wanted(&orders, &config.estate, &previous);
    let mut judged = baseline::judge(wanted, baselines, &notes);
    let firsts = firsts(&inputs, &mut judged.without);
    let Ledger { instances: mut remembered, findings: earlier, .. } = previous;

    let snapshots: Vec<S> = inputs.into_iter().filter_map(|input| Some(input.used?.snapshot)).collect();
    let graph = Graph::build(snapshots)?;
    done(Step::Built { nodes: graph.node_indexes().len(), edges: graph.edges().len() });
    let troubles = judged.troubles(&graph, &views);
    let seen = Seen { notes: &notes, views: &views, waiting: &config.waiting, troubles: &troubles };
    let gaps = gaps(&graph, &seen, &remembered);
    let memory = history::remember(&graph, &mut remembered, &views);
    let fired = fire::fire(&graph, (&judged.compared, &memory), config, done)?;
    let may_hold = aged::standing(&graph, &earlier, &fired.undetermined, config);
    let mut settled = views.iter().map(|(uid, view)| (uid.clone(), view.settled.clone())).collect();
    judged.settle(&graph, &mut settled);
    drop(graph);
    done(Step::Fired);

    let rules = fire::rule_majors();
    let retention = retention(&config.estate);
    let (revisions, rules) = (&revisions, &rules);
    let situation = Situation { as_of: config.as_of, live: &live, settled: &settled, revisions, rules, retention };
    let mut merged = merge(fired.drafts, earlier, &situation);
    aged::restore(&mut merged, may_hold);
    let_go(&mut merged, bounds.resolved);
    done(Step::Merged);

    let instances = next_instances((views, firsts, memory), remembered, &live, &notes);
    let known = Known { config, bounds, notes, baselines: judged.notes, gaps, retention };
    conclude(known, merged, instances, (fired.outside_lane, fired.next_transition))
}

/// What is known besides the findings, once these are merged.
struct Known<'a> {
    config: &'a Config,
    bounds: &'a Bounds,
    notes: Vec<InputNote>,
    baselines: Vec<BaselineNote>,
    gaps: Vec<Gap>,
    retention: SignedDuration,
}

/// Ledger, acceptance, what stands as a resource, and the pack of it all.
fn conclude(
    known: Known<'_>,
    mut merged: Merged,
    mut instances: BTreeMap<String, RememberedInstance>,
    (outside_lane, next): (BTreeMap<String, u64>, Option<Timestamp>),
) -> Result<Evaluation, EngineError> {
    let Known { config, bounds, notes, baselines, gaps, retention } = known;
    let mut folded = fold(&mut merged)?;
    let (ledger, forgotten) = next_ledger(&merged, &mut instances, bounds)?;
    // After the ledger, which remembers nothing of acceptance.
    let accepted = accept(&mut merged, &folded, &config.exceptions, config.as_of);
    fold_through(&mut merged, &mut folded, &accepted)?;
    let standing = Standing { kept: most_severe(&merged, &folded, config.max_findings), folded };
    let mut tally = tally(&merged, &standing);
    tally.outside_lane = outside_lane;
    let next_transition = next_transition(config, retention, next, &merged);
    let conclusion = Conclusion {
        standing: &standing,
        accepted: &accepted,
        next_ledger: &ledger.digest,
        next_transition,
        forgotten: &forgotten,
    };
    let pack = write_pack(config, (&notes, &baselines, &gaps), &merged, conclusion, bounds);
    let pack = pack.map_err(|error| match error {
        PackError::TooLarge(bound) => EngineError::too_large("evidence pack", bound, &merged),
        other @ PackError::Unwritable(_) => EngineError::Pack(other),
    })?;
    let (findings, folded) = parted(merged, &standing);
    Ok(Evaluation {
        findings,
        folded,
        tally,
        inputs: notes,
        baselines,
        gaps,
        exceptions: accepted.notes,
        next_transition,
        most_evidence: pack.most_evidence,
        forgotten,
        ledger,
        pack: Stored { bytes: pack.bytes, digest: pack.digest },
    })
}

/// What stands as a resource, and what another finding tells.
fn parted(merged: Merged, standing: &Standing) -> (BTreeMap<String, FindingSpec>, BTreeMap<String, Folded>) {
    let mut findings = BTreeMap::new();
    let mut folded = BTreeMap::new();
    for (name, held) in merged.held {
        if let Some(under) = standing.folded.get(&name) {
            folded.insert(name, Folded { under: under.clone(), spec: held.remembered.spec });
        } else if standing.kept.contains(&name) {
            findings.insert(name, held.remembered.spec);
        }
    }
    (findings, folded)
}

/// Resources hold whole seconds; anything finer would make a fresh object differ from the one read back.
pub fn whole_seconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

fn observe_all<S: AsRef<Header>>(inputs: &[Input<S>], previous: &Ledger) -> BTreeMap<String, View> {
    let view = |input: &Input<S>| {
        let header = input.used.as_ref()?.snapshot.as_ref();
        let before = previous.instances.get(&input.order.instance_uid).map(|instance| &instance.seen);
        Some((input.order.instance_uid.clone(), observe(&header.scan_id, &header.coverage, before)))
    };
    inputs.iter().filter_map(view).collect()
}

/// The snapshots that can stand as the baseline of their instance from now on; those instances are no longer `without`.
fn firsts<S: AsRef<Header>>(
    inputs: &[Input<S>],
    without: &mut BTreeSet<String>,
) -> BTreeMap<String, RememberedSnapshot> {
    let first = |input: &Input<S>| {
        let used = input.used.as_ref()?;
        let first = baseline::first(used.snapshot.as_ref(), &used.digest, &input.order)?;
        without.remove(&input.order.instance_uid);
        Some((input.order.instance_uid.clone(), first))
    };
    inputs.iter().filter_map(first).collect()
}

fn note<S: AsRef<Header>>(input: &Input<S>) -> InputNote {
    InputNote {
        instance: input.order.instance.clone(),
        instance_uid: input.order.instance_uid.clone(),
        system: input.order.system.clone(),
        tenant: input.order.tenant.clone(),
        snapshot_id: input.order.snapshot_id.clone(),
        snapshot_digest: input.order.snapshot_digest.clone(),
        quarantined: input.quarantined.map(crate::load::Quarantine::as_str),
        used: input.used.as_ref().map(|used| (used.snapshot.as_ref().scan_id.clone(), used.digest.clone())),
    }
}

fn revision<S: AsRef<Header>>(input: &Input<S>) -> Option<(String, u32)> {
    let header = input.used.as_ref()?.snapshot.as_ref();
    Some((input.order.instance_uid.clone(), header.collection_revision))
}

fn live<S>(inputs: &[Input<S>], config: &Config) -> BTreeSet<String> {
    inputs.iter().map(|input| &input.order.instance_uid).chain(&config.waiting).cloned().collect()
}

/// The names of those that stand as resources: what holds before what is resolved, then the most severe, then by rule
/// and name.
fn most_severe(merged: &Merged, folded: &BTreeMap<String, String>, most: usize) -> BTreeSet<String> {
    let mut all: Vec<_> = merged
        .held
        .iter()
        .filter(|(name, _)| !folded.contains_key(*name))
        .map(|(name, held)| {
            let spec = &held.remembered.spec;
            let resolved = spec.state == FindingState::Resolved;
            (resolved, std::cmp::Reverse(spec.severity_rank), &spec.rule.id, name)
        })
        .collect();
    all.sort_unstable();
    all.into_iter().take(most).map(|(.., name)| name.clone()).collect()
}

fn tally(merged: &Merged, standing: &Standing) -> Tally {
    let (kept, folded) = (standing.kept.len(), standing.folded.len());
    let mut tally = Tally { truncated: merged.held.len() - folded - kept, folded, ..Tally::default() };
    let for_themselves = merged.held.iter().filter(|(name, _)| !standing.folded.contains_key(*name));
    for (name, Held { remembered, basis, .. }) in for_themselves {
        let spec = &remembered.spec;
        match spec.state {
            FindingState::Open => tally.open += 1,
            FindingState::Resolved => tally.resolved += 1,
            FindingState::Accepted => tally.accepted += 1,
        }
        tally.unseen += usize::from(*basis == crate::merge::Basis::Unseen);
        if spec.state == FindingState::Open {
            *tally.by_rank.entry(spec.severity_rank).or_default() += 1;
            *tally.kept_by_rank.entry(spec.severity_rank).or_default() += usize::from(standing.kept.contains(name));
            *tally.by_family.entry(convert::word(&spec.family)).or_default() += 1;
            *tally.by_rule.entry(spec.rule.id.clone()).or_default() += 1;
        }
    }
    for removal in merged.removed.values().copied() {
        *tally.removed.entry(Removal::as_str(removal)).or_default() += 1;
    }
    tally
}

/// How long resolved findings stay.
fn retention(estate: &EstateSpec) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(estate.retention.resolved_days))
}

fn next_transition(config: &Config, retention: SignedDuration, rules: Option<Timestamp>, merged: &Merged) -> Timestamp {
    let as_of = config.as_of;
    let resolved = merged.held.values().filter_map(|held| held.remembered.spec.resolved_at.as_ref());
    let backstop = as_of.checked_add(BACKSTOP).unwrap_or(Timestamp::MAX);
    let leaving = resolved.map(|at| retention_ends(at.0, retention));
    let all = leaving.chain(ends(&config.exceptions)).chain(rules).filter(|at| *at > as_of);
    all.min().map_or(backstop, |at| at.min(backstop))
}

/// What is remembered of instances that were not read stays; of instances that are gone, nothing does.
fn next_instances(
    (views, mut firsts, mut memory): (BTreeMap<String, View>, BTreeMap<String, RememberedSnapshot>, Memory),
    mut remembered: BTreeMap<String, RememberedInstance>,
    live: &BTreeSet<String>,
    notes: &[InputNote],
) -> BTreeMap<String, RememberedInstance> {
    remembered.retain(|uid, _| live.contains(uid));
    let names: BTreeMap<&str, &str> =
        notes.iter().map(|note| (note.instance_uid.as_str(), note.instance.as_str())).collect();
    for (uid, view) in views {
        let name = names.get(uid.as_str()).copied().unwrap_or_default().to_owned();
        let seen: InstanceMemory = view.memory;
        let first = remembered.remove(&uid).and_then(|before| before.baseline);
        let baseline = first.or_else(|| firsts.remove(&uid));
        remembered.insert(uid, RememberedInstance { name, seen, baseline, activity: None });
    }
    for (uid, instance) in &mut remembered {
        instance.activity = memory.remove(uid);
    }
    remembered
}

/// The next ledger, and the names of instances that it knows no use of any more.
///
/// Where it would be too large, what is remembered of use goes: it is the largest part that can, and lost it proves nothing,
/// since the watching begins anew. Of the instance with most of it first, so that one does not cost the others theirs.
fn next_ledger(
    merged: &Merged,
    instances: &mut BTreeMap<String, RememberedInstance>,
    bounds: &Bounds,
) -> Result<(Stored, Vec<String>), EngineError> {
    let mut forgotten: BTreeSet<String> = BTreeSet::new();
    loop {
        let findings = merged.held.iter().map(|(name, held)| (name.as_str(), &held.remembered)).collect();
        let bound = match (LedgerView { format: LEDGER_FORMAT, instances, findings }).write(bounds) {
            Ok((bytes, digest)) => return Ok((Stored { bytes, digest }, forgotten.into_iter().collect())),
            Err(LedgerError::TooLarge(bound)) => bound,
            Err(other) => return Err(EngineError::Ledger(other)),
        };
        let uses = |(uid, instance): (&String, &RememberedInstance)| {
            Some((instance.activity.as_ref()?.uses.len(), uid.clone()))
        };
        let mut all: Vec<(usize, String)> = instances.iter().filter_map(uses).collect();
        if all.is_empty() {
            return Err(EngineError::too_large("ledger", bound, merged));
        }
        all.sort_unstable();
        // As many as before and one more: each try writes all of it.
        for (_, uid) in all.into_iter().rev().take(forgotten.len() + 1) {
            if let Some(instance) = instances.get_mut(&uid) {
                instance.activity = None;
                forgotten.insert(instance.name.clone());
            }
        }
    }
}
