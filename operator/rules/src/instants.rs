//! When time alone can change what is said of an identity: every instant at which a predicate of some rule turns.
//!
//! What was not used since is decided as of the reading of the records, so that such a mark counts only up to there: the
//! passing of time without a new scan proves no more disuse.

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind};

use crate::activity::{self, CREDENTIALS, Silence};
use crate::automations;
use crate::identity::{Credential, Identity, Until};
use crate::owners;
use crate::rule::Context;
use crate::rules;
use crate::text::{days_after, days_before};

/// The instants, in no order; past ones and ones at which nothing happens may be among them.
pub(crate) fn of<'g>(context: &Context<'g>, identity: &Identity<'g>) -> impl Iterator<Item = Timestamp> {
    let config = context.config;
    let made = identity.made;
    let own = [
        made.and_then(|made| days_after(made, config.never_used_grace_days)),
        identity.last_used.idle_from(config.rare_use_days),
        identity.last_used.idle_from(config.dormant_days),
        identity.last_unattended.idle_from(config.rare_use_days),
        identity.last_unattended.idle_from(config.unused_credential_days),
        identity.last_unattended.idle_from(config.dormant_days),
        // Where no use at all is recorded, none without a user is: one mark for both.
        identity.last_unattended.silent_from(made, config.dormant_days),
    ];
    let silence = activity::silence_of(context, identity);
    let silent = [config.rare_use_days, config.dormant_days].into_iter().flat_map(move |days| turns(silence, days));
    let held = identity.credentials.iter().filter(|held| !held.client_auth.is_false());
    let held: Vec<Timestamp> = held.flat_map(|held| of_credential(context, held)).collect();
    own.into_iter().flatten().chain(silent).chain(held).chain(records(context, identity))
}

/// When silence becomes proof of so many days without use, and when a use that is remembered is that long ago.
fn turns(silence: Option<Silence>, days: u32) -> impl Iterator<Item = Timestamp> {
    let turns = silence.map(|silence| [silence.proven_from(days), silence.forgotten_from(days)]);
    turns.into_iter().flatten().flatten()
}

/// When records end by themselves that say by whom it is used, who answers for it and for whom it acts. What it holds is
/// weighed elsewhere.
fn records<'g>(context: &Context<'g>, identity: &Identity<'g>) -> impl Iterator<Item = Timestamp> {
    let graph = context.graph;
    let mut all: Vec<&'g Edge> = identity.federations.clone();
    for owner in &identity.owners.list {
        all.push(owner.edge);
        all.extend(owners::owners_of_owner(graph, owner.ix));
    }
    for object in identity.application.map(|edge| edge.from).into_iter().chain([identity.ix]) {
        all.extend(graph.incoming(object, EdgeKind::Sponsors).chain(graph.out(object, EdgeKind::AccountableTo)));
    }
    all.extend(graph.out(identity.ix, EdgeKind::DelegatedGrant));
    all.into_iter().filter_map(|edge| edge.until).chain(automations::ends(context, identity))
}

fn of_credential(context: &Context<'_>, held: &Credential) -> impl Iterator<Item = Timestamp> {
    let config = context.config;
    let end = if let Until::At(end) = held.until { Some(end) } else { None };
    let begin = rules::begin(context, held);
    let unused = config.unused_credential_days.max(config.never_used_grace_days);
    let all = [
        held.from,
        end,
        held.ends,
        end.and_then(|end| days_before(end, config.expiry_warn_days)),
        begin.and_then(|begin| days_after(begin, config.rotate_days)),
        begin.and_then(|begin| days_after(begin, config.rotate_days.saturating_mul(2))),
        begin.and_then(|begin| days_after(begin, config.never_used_grace_days)),
        held.last_used.idle_from(config.rare_use_days),
        held.last_used.idle_from(config.unused_credential_days),
        held.last_used.silent_from(begin, unused),
        context.shared.find(context.graph, held).and_then(|shared| shared.next),
    ];
    let silence = activity::silence(context, held.ix, CREDENTIALS, held.last_used, begin);
    all.into_iter().flatten().chain(turns(silence, unused))
}
