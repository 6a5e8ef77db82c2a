//! The replay: takes a bundle, computes the evaluation again, and says that everything is equal to the byte, or what
//! differs first. Pure: no clock (`as_of` stands in the pack), no network, no files; any machine will do.
//!
//! What equality proves: this program, with these rules, concludes from these snapshots, ledger and configuration what
//! the pack says. That the bundle is the estate's, the pack's digest in the Estate's status proves.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Map, Value};
use sv0_graph::canonical::digest;
use sv0_protocol::EvaluateInput;

use crate::baseline;
use crate::bundle::Bundle;
use crate::evaluate::{Config, EngineError, Evaluation, Sources, evaluate};
use crate::ledger::{Ledger, LedgerError};
use crate::load::{FetchError, Input, load_baselines, load_within};
use crate::pack::{PackRules, PackSnapshot, Role};
use crate::pack_reader::{Pack, PackReadError};

/// Why a bundle cannot be computed again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The pack cannot be read, or was changed.
    #[error(transparent)]
    Pack(#[from] PackReadError),
    /// It was evaluated with other rules, reference data or another compressor.
    #[error(
        "the bundle needs the rule pack {} (rules {}, reference data {}, {}); this program has {} (rules {}, reference data {}, {}): use the release that evaluated it",
        .needed.version, .needed.digest, .needed.reference_data_digest, .needed.compressor,
        .ours.version, .ours.digest, .ours.reference_data_digest, .ours.compressor
    )]
    Rules {
        /// What the bundle needs.
        needed: Box<PackRules>,
        /// What this program has.
        ours: Box<PackRules>,
    },
    /// A ledger is missing, or not the one that the pack names.
    #[error("{0} is not the one that the pack names, or not there")]
    LedgerDigest(&'static str),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A snapshot that was evaluated is not in the bundle.
    #[error("the bundle lacks the snapshot {id} of the instance {instance}, or a part of it")]
    Snapshot {
        /// Name of the instance.
        instance: String,
        /// Id of the snapshot.
        id: String,
    },
    /// Loading failed; a bundle gives no cause for it.
    #[error(transparent)]
    Load(#[from] FetchError),
    /// The evaluation has no result.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An evaluation that was computed again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// What the bundle says.
    pub pack: Pack,
    /// `sha256:<hex>` of the bundle's pack.
    pub pack_digest: String,
    /// What comes out now.
    pub evaluation: Evaluation,
    /// The first difference; none when everything is equal to the byte.
    pub difference: Option<Difference>,
}

/// Where two evaluations differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of what: a finding by name, a snapshot, the ledger, the pack.
    pub place: String,
    /// Which field, as a JSON pointer; empty when the whole is meant.
    pub field: String,
    /// What the bundle says.
    pub expected: String,
    /// What comes out.
    pub actual: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, field, expected, actual } = self;
        let field = if field.is_empty() { String::new() } else { format!(", {field}") };
        write!(f, "{place}{field}: the bundle says {expected}, computed again it is {actual}")
    }
}

/// Most characters of a value in a [`Difference`].
const MAX_SHOWN: usize = 200;

/// Computes the bundle's evaluation again. `threads` never changes the result.
pub fn replay(bundle: &Bundle, threads: usize) -> Result<Replay, ReplayError> {
    let pack = Pack::read(&bundle.pack)?;
    let ours = PackRules::current().map_err(EngineError::from)?;
    if pack.header.rule_pack != ours {
        let needed = Box::new(pack.header.rule_pack.clone());
        return Err(ReplayError::Rules { needed, ours: Box::new(ours) });
    }
    let config = Config { threads: threads.max(1), ..pack.header.config.clone() };
    let previous = ledgers(bundle, &pack)?;
    let inputs = pack.header.snapshots.iter().filter(|snapshot| snapshot.role == Role::Input);
    let orders: Vec<EvaluateInput> = inputs.map(order).collect();
    let evaluated = previous.evaluated();
    let wanted = baseline::wanted(&orders, &config.estate, &previous);
    let baselines = at_once(load_baselines(bundle, &wanted, &config.estate, config.max_snapshot_bytes))?;
    let inputs = at_once(load_within(bundle, &orders, &evaluated, config.max_snapshot_bytes))?;
    whole(&inputs, bundle, &pack)?;
    let evaluation = evaluate(Sources { inputs, baselines }, previous, &config)?;
    let difference = compare(bundle, &pack, &evaluation)?;
    Ok(Replay { pack_digest: digest(&bundle.pack), pack, evaluation, difference })
}

/// The ledger to start from, both of them checked against the pack.
fn ledgers(bundle: &Bundle, pack: &Pack) -> Result<Ledger, ReplayError> {
    let config = &pack.header.config;
    let started = config.ledger.as_deref().filter(|_| !config.history_lost);
    if bundle.ledger.as_ref().map(|bytes| digest(bytes)).as_deref() != started {
        return Err(ReplayError::LedgerDigest("the ledger that the evaluation started from"));
    }
    if digest(&bundle.next_ledger) != pack.header.next_ledger {
        return Err(ReplayError::LedgerDigest("the ledger that the evaluation left"));
    }
    match &bundle.ledger {
        Some(bytes) => Ok(Ledger::read(bytes)?),
        None => Ok(Ledger::default()),
    }
}

fn order(snapshot: &PackSnapshot) -> EvaluateInput {
    EvaluateInput {
        instance: snapshot.instance.clone(),
        instance_uid: snapshot.instance_uid.clone(),
        system: snapshot.system.clone(),
        tenant: snapshot.tenant.clone(),
        snapshot_id: snapshot.snapshot_id.clone(),
        snapshot_digest: snapshot.snapshot_digest.clone(),
    }
}

/// A bundle answers at once: there is nothing to wait for.
fn at_once<T>(future: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(FetchError::Unavailable("the bundle does not answer".to_owned())),
    }
}

/// A snapshot that was evaluated and cannot be loaded now makes the bundle unusable: that is no other conclusion.
fn whole<S>(inputs: &[Input<S>], bundle: &Bundle, pack: &Pack) -> Result<(), ReplayError> {
    for snapshot in &pack.header.snapshots {
        let Some(id) = &snapshot.used_id else { continue };
        if snapshot.role == Role::Baseline {
            let there = bundle.manifests.get(&(snapshot.instance_uid.clone(), id.clone()));
            if there.map(|manifest| digest(manifest)).as_ref() != snapshot.used_digest.as_ref() {
                return Err(ReplayError::Snapshot { instance: snapshot.instance.clone(), id: id.clone() });
            }
            continue;
        }
        let input = inputs.iter().find(|input| input.order.instance_uid == snapshot.instance_uid);
        let used = input.and_then(|input| input.used.as_ref());
        if used.is_none_or(|used| Some(&used.digest) != snapshot.used_digest.as_ref()) {
            return Err(ReplayError::Snapshot { instance: snapshot.instance.clone(), id: id.clone() });
        }
    }
    Ok(())
}

/// Findings first, since the rest follows from them; then what the header says; then the ledger; then the bytes.
fn compare(bundle: &Bundle, expected: &Pack, evaluation: &Evaluation) -> Result<Option<Difference>, ReplayError> {
    if evaluation.pack.bytes == bundle.pack && evaluation.ledger.bytes == bundle.next_ledger {
        return Ok(None);
    }
    let actual = Pack::read(&evaluation.pack.bytes)?;
    let found = findings(expected, &actual).or_else(|| header(expected, &actual));
    if found.is_some() {
        return Ok(found);
    }
    let ledger = |bytes: &[u8]| Ledger::read(bytes).ok().and_then(|ledger| serde_json::to_value(ledger).ok());
    if let (Some(expected), Some(actual)) = (ledger(&bundle.next_ledger), ledger(&evaluation.ledger.bytes))
        && let Some(difference) = between("the ledger that the evaluation left", &expected, &actual)
    {
        return Ok(Some(difference));
    }
    let both = |pack: &str, ledger: &str| format!("pack {pack}, ledger {ledger}");
    Ok(Some(Difference {
        place: "the bytes of pack and ledger, whose content is the same".to_owned(),
        field: String::new(),
        expected: both(&digest(&bundle.pack), &digest(&bundle.next_ledger)),
        actual: both(&evaluation.pack.digest, &evaluation.ledger.digest),
    }))
}

fn findings(expected: &Pack, actual: &Pack) -> Option<Difference> {
    let mut names: Vec<&String> = expected.findings.keys().chain(actual.findings.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let difference = |name: &String| {
        let line = |pack: &Pack| pack.findings.get(name).map(|finding| Value::Object(finding.line.clone()));
        match (line(expected), line(actual)) {
            (Some(expected), Some(actual)) => between(&format!("finding {name}"), &expected, &actual),
            (expected, _) => {
                let there = |there| if there { "that it is there" } else { "that it is not there" }.to_owned();
                let (expected, actual) = (there(expected.is_some()), there(expected.is_none()));
                Some(Difference { place: format!("finding {name}"), field: String::new(), expected, actual })
            }
        }
    };
    names.into_iter().find_map(difference)
}

fn header(expected: &Pack, actual: &Pack) -> Option<Difference> {
    // The ledger's digest says only that the ledger differs, not where: that is looked for afterwards.
    let without_ledger = |header: &Map<String, Value>| {
        let mut header = header.clone();
        header.remove("nextLedger");
        Value::Object(header)
    };
    between("the pack's header", &without_ledger(&expected.header_line), &without_ledger(&actual.header_line))
}

/// The first field that differs, in the order of the fields' names.
pub fn between(place: &str, expected: &Value, actual: &Value) -> Option<Difference> {
    let (field, expected, actual) = first("", Some(expected), Some(actual))?;
    Some(Difference { place: place.to_owned(), field, expected: short(expected), actual: short(actual) })
}

type Found<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn first<'a>(at: &str, expected: Option<&'a Value>, actual: Option<&'a Value>) -> Option<Found<'a>> {
    if expected == actual {
        return None;
    }
    match (expected, actual) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            let pointer = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            keys.into_iter().find_map(|key| first(&pointer(key), a.get(key), b.get(key)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            (0..a.len().max(b.len())).find_map(|i| first(&format!("{at}/{i}"), a.get(i), b.get(i)))
        }
        _ => Some((at.to_owned(), expected, actual)),
    }
}

fn short(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let mut text: String = text.chars().take(MAX_SHOWN).collect();
    text.push('…');
    text
}
