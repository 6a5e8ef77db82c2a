//! What drift is measured from: takes orders, the Estate's spec and the ledger, says which snapshots are the baselines;
//! takes these, reduced, beside the present ones, and says what of them can be compared.
//!
//! An instance's baseline is the snapshot that the spec accepts, or else the first complete one that was evaluated, which
//! the ledger remembers. A tenant is compared as a whole: when the baseline of one of its instances cannot be used, no
//! drift is claimed in that tenant, and none is said to be gone.

use std::collections::{BTreeMap, BTreeSet};

use sv0_api::EstateSpec;
use sv0_graph::{Graph, Header, Packed, TooManyRows};
use sv0_protocol::EvaluateInput;
use sv0_rules::{Baseline, baseline_dependency, compared_collections};

use crate::evaluate::InputNote;
use crate::fire::rule_config;
use crate::history::View;
use crate::ledger::{Ledger, RememberedSnapshot};

/// One instance's baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The instance, with the baseline in place of the snapshot that is evaluated.
    pub order: EvaluateInput,
    /// Whether the spec names it; else the ledger remembers it.
    pub accepted: bool,
}

/// The baselines of one tenant, before they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTenant {
    /// In the order of instance UIDs.
    pub instances: Vec<Wanted>,
    /// UIDs of its instances that have no baseline.
    pub without: BTreeSet<String>,
    /// Every baseline is the very snapshot that is to be evaluated: there is nothing to compare, and nothing to read.
    pub same: bool,
}

/// Why nothing is compared with a baseline. Closed: these words end in the Estate's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The store does not have it, or not whole.
    Unreadable,
    /// It is newer than the snapshot that is evaluated.
    Newer,
    /// No complete snapshot of the instance was evaluated yet, and the spec names none.
    NoneYet,
    /// The collection was not read completely, or not in the same way, in both snapshots.
    NotComparable,
}

impl Trouble {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "BaselineUnreadable",
            Self::Newer => "BaselineNewer",
            Self::NoneYet => "NoBaselineYet",
            Self::NotComparable => "BaselineNotComparable",
        }
    }
}

/// The baseline of one instance, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineNote {
    /// Name of the instance.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// `entra`, ...
    pub system: String,
    /// The tenant in its spec.
    pub tenant: String,
    /// The snapshot's id.
    pub snapshot_id: String,
    /// Its digest.
    pub snapshot_digest: String,
    /// Whether the spec names it.
    pub accepted: bool,
    /// Why it cannot be compared with.
    pub trouble: Option<Trouble>,
}

/// An order, and the baseline of its instance.
type Ordered<'a> = (&'a EvaluateInput, Option<Wanted>);

/// The baseline of every ordered instance that has one, by tenant.
pub fn wanted(orders: &[EvaluateInput], estate: &EstateSpec, ledger: &Ledger) -> Vec<WantedTenant> {
    let mut tenants: BTreeMap<(String, String), Vec<Ordered<'_>>> = BTreeMap::new();
    for order in orders {
        let key = (order.system.clone(), order.tenant.to_ascii_lowercase());
        tenants.entry(key).or_default().push((order, of(order, estate, ledger)));
    }
    let tenant = |mut all: Vec<Ordered<'_>>| {
        all.sort_by(|(a, _), (b, _)| a.instance_uid.cmp(&b.instance_uid));
        let same = all.iter().all(|(order, wanted)| wanted.as_ref().is_none_or(|wanted| wanted.order == **order));
        let without = all.iter().filter(|(_, wanted)| wanted.is_none());
        let without = without.map(|(order, _)| order.instance_uid.clone()).collect();
        WantedTenant { instances: all.into_iter().filter_map(|(_, wanted)| wanted).collect(), without, same }
    };
    tenants.into_values().map(tenant).collect()
}

fn of(order: &EvaluateInput, estate: &EstateSpec, ledger: &Ledger) -> Option<Wanted> {
    let with = |snapshot_id: &String, snapshot_digest: &String| EvaluateInput {
        snapshot_id: snapshot_id.clone(),
        snapshot_digest: snapshot_digest.clone(),
        ..order.clone()
    };
    if let Some(accepted) = estate.baseline.iter().find(|accepted| accepted.instance == order.instance) {
        return Some(Wanted { order: with(&accepted.snapshot_id, &accepted.snapshot_digest), accepted: true });
    }
    let first = ledger.instances.get(&order.instance_uid)?.baseline.as_ref()?;
    Some(Wanted { order: with(&first.id, &first.digest), accepted: false })
}

/// Snapshots of each ordered instance that the store has to keep, by instance UID: the accepted one, and the first
/// complete one, or the ordered one that may become it.
pub fn pinned(orders: &[EvaluateInput], estate: &EstateSpec, ledger: &Ledger) -> BTreeMap<String, BTreeSet<String>> {
    let of_order = |order: &EvaluateInput| {
        let first = ledger.instances.get(&order.instance_uid).and_then(|instance| instance.baseline.as_ref());
        let first = first.map_or(&order.snapshot_id, |first| &first.id).clone();
        let accepted = of(order, estate, ledger).map(|wanted| wanted.order.snapshot_id);
        (order.instance_uid.clone(), accepted.into_iter().chain([first]).collect())
    };
    orders.iter().map(of_order).collect()
}

/// Judges the baselines of one tenant by this version's rules, and keeps what is compared. None of nothing.
pub fn reduce<S: Into<Packed>>(snapshots: Vec<S>, estate: &EstateSpec) -> Result<Option<Baseline>, TooManyRows> {
    Ok(Baseline::of(&Graph::build(snapshots)?, &rule_config(estate)))
}

/// What can be compared in an evaluation.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// In the order of instance UIDs.
    pub(crate) notes: Vec<BaselineNote>,
    /// What rules are given.
    pub(crate) compared: Vec<Baseline>,
    /// UIDs of instances whose baseline is the evaluated snapshot itself.
    pub(crate) same: BTreeSet<String>,
    /// UIDs of evaluated instances that have no baseline.
    pub(crate) without: BTreeSet<String>,
}

/// How the baseline of an evaluated instance stands to what is evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Same,
    Readable,
    Bad(Trouble),
}

/// Brings together what is wanted, what was read and what is evaluated.
pub(crate) fn judge(tenants: Vec<WantedTenant>, mut reduced: Vec<Baseline>, notes: &[InputNote]) -> Judged {
    let used: BTreeMap<&str, &(String, String)> =
        notes.iter().filter_map(|note| Some((note.instance_uid.as_str(), note.used.as_ref()?))).collect();
    let mut judged = Judged::default();
    for WantedTenant { instances, mut without, .. } in tenants {
        let read = reduced.iter().position(|baseline| holds(baseline, &instances));
        // Only what is evaluated can be compared.
        let standing = |wanted: Wanted| {
            let used = used.get(wanted.order.instance_uid.as_str())?;
            let standing = standing(&wanted.order, used, read.is_some());
            Some((wanted, standing))
        };
        let evaluated: Vec<(Wanted, Standing)> = instances.into_iter().filter_map(standing).collect();
        without.retain(|uid| used.contains_key(uid.as_str()));
        let bad = evaluated.iter().any(|(_, standing)| matches!(standing, Standing::Bad(_)));
        if evaluated.iter().all(|(_, standing)| *standing == Standing::Same) {
            judged.same.extend(evaluated.iter().map(|(wanted, _)| wanted.order.instance_uid.clone()));
        } else if let (false, true, Some(at)) = (bad, without.is_empty(), read) {
            judged.compared.push(reduced.swap_remove(at));
        }
        judged.notes.extend(evaluated.into_iter().map(|(wanted, standing)| wanted.note(standing)));
        judged.without.append(&mut without);
    }
    judged.notes.sort_by(|a, b| a.instance_uid.cmp(&b.instance_uid));
    judged
}

/// Whether `baseline` is made of exactly these snapshots.
fn holds(baseline: &Baseline, instances: &[Wanted]) -> bool {
    let wanted = instances.iter().map(|wanted| (wanted.order.instance_uid.as_str(), wanted.order.snapshot_id.as_str()));
    baseline.snapshots().eq(wanted)
}

fn standing(baseline: &EvaluateInput, (id, digest): &(String, String), readable: bool) -> Standing {
    if *id == baseline.snapshot_id && *digest == baseline.snapshot_digest {
        Standing::Same
    } else if baseline.snapshot_id > *id {
        Standing::Bad(Trouble::Newer)
    } else if readable {
        Standing::Readable
    } else {
        Standing::Bad(Trouble::Unreadable)
    }
}

impl Wanted {
    fn note(self, standing: Standing) -> BaselineNote {
        let Self { order, accepted } = self;
        let trouble = match standing {
            Standing::Bad(trouble) => Some(trouble),
            Standing::Same | Standing::Readable => None,
        };
        BaselineNote {
            instance: order.instance,
            instance_uid: order.instance_uid,
            system: order.system,
            tenant: order.tenant,
            snapshot_id: order.snapshot_id,
            snapshot_digest: order.snapshot_digest,
            accepted,
            trouble,
        }
    }
}

impl Judged {
    /// Adds to the settled collections those over which the absence of a drift means that there is none: both sides can
    /// be compared, or are one.
    pub(crate) fn settle(&self, graph: &Graph, settled: &mut BTreeMap<String, BTreeSet<String>>) {
        for uid in &self.same {
            let Some(names) = settled.get_mut(uid) else { continue };
            let both: Vec<String> = names.iter().map(|name| baseline_dependency(name)).collect();
            names.extend(both);
        }
        for baseline in &self.compared {
            let comparable = baseline.comparable(graph);
            for (uid, _) in baseline.snapshots() {
                if let Some(names) = settled.get_mut(uid) {
                    names.extend(comparable.iter().map(|name| baseline_dependency(name)));
                }
            }
        }
    }

    /// Why something of an instance is not compared: its UID, the collection (empty = nothing of it is), the word.
    pub(crate) fn troubles(&self, graph: &Graph, views: &BTreeMap<String, View>) -> Vec<(String, String, Trouble)> {
        let whole = |uid: &String, trouble| (uid.clone(), String::new(), trouble);
        let bad = self.notes.iter().filter_map(|note| Some(whole(&note.instance_uid, note.trouble?)));
        let mut all: Vec<_> = bad.chain(self.without.iter().map(|uid| whole(uid, Trouble::NoneYet))).collect();
        let compared = compared_collections();
        for baseline in &self.compared {
            let comparable = baseline.comparable(graph);
            for (uid, _) in baseline.snapshots() {
                // What is not complete now is a gap of its own already.
                let complete = views.get(uid).into_iter().flat_map(|view| view.settled.iter().chain(&view.shrunk));
                let complete = complete.filter(|name| compared.contains(name.as_str()) && !comparable.contains(*name));
                all.extend(complete.map(|name| (uid.to_owned(), name.clone(), Trouble::NotComparable)));
            }
        }
        all
    }
}

/// What each evaluated instance is compared with from now on: what was remembered, or else the snapshot that is
/// evaluated, when it was ordered and is complete.
pub(crate) fn first(header: &Header, digest: &str, ordered: &EvaluateInput) -> Option<RememberedSnapshot> {
    (header.scan_id == ordered.snapshot_id && Baseline::suits(header))
        .then(|| RememberedSnapshot { id: header.scan_id.clone(), digest: digest.to_owned() })
}
