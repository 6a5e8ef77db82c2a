//! Decides whether an estate is to be evaluated again, and writes the order.
//!
//! Pure: what is known of the estate and its instances, and an instant in; decision or order out. What the previous
//! evaluation used is read from the estate's status, which that evaluation wrote itself.

use jiff::{SignedDuration, Timestamp};
use sv0_api::EstateStatus;
use sv0_protocol::{EvaluateExceptions, EvaluateInput, EvaluateRequest, Reason, StoreAccess};

use crate::scan_due::wait_after;

/// A live `ConnectorInstance` of the estate, as far as an evaluation cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Source system.
    pub system: String,
    /// Tenant that the spec is bound to.
    pub tenant: String,
    /// The last good snapshot.
    pub snapshot: Option<Snapshot>,
    /// When the scan that is under way was ordered.
    pub scanning_since: Option<Timestamp>,
}

/// A stored snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// `sha256:<hex>` of its manifest.
    pub digest: String,
    /// When its scan began.
    pub collected_at: Timestamp,
}

/// How long the decision may wait for scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A scan that started less than this ago is waited for.
    pub quiet: SignedDuration,
    /// No snapshot waits longer than this.
    pub max_delay: SignedDuration,
}

/// A failed attempt that is still known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Why.
    pub reason: Reason,
    /// When it failed.
    pub at: Timestamp,
    /// Attempts that failed in a row, this one included.
    pub count: u32,
}

/// Everything the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationFacts<'a> {
    /// The Estate's generation.
    pub generation: i64,
    /// What the last evaluation wrote; none before the first.
    pub status: Option<&'a EstateStatus>,
    /// Live instances.
    pub instances: &'a [Instance],
    /// The present `FindingExceptions`.
    pub exceptions: &'a EvaluateExceptions,
    /// Version of the rules in this build.
    pub rule_pack: &'a str,
    /// An evaluation by this build has succeeded: what the status says of the rules cannot become any newer. Without
    /// this, a version that is named in two ways would mean one evaluation after the other, for ever.
    pub rules_current: bool,
    /// The last attempt, if it failed.
    pub failed: Option<FailedAttempt>,
}

/// Why an evaluation is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There are snapshots that no evaluation has used.
    NewSnapshot,
    /// An instance is gone: its findings leave.
    InstanceRemoved,
    /// The Estate's spec changed.
    SpecChanged,
    /// A FindingException came, went or says something else.
    ExceptionsChanged,
    /// The rules changed.
    RulesChanged,
    /// Time alone may change a finding.
    TimePassed,
}

impl Cause {
    /// The word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewSnapshot => "NewSnapshot",
            Self::InstanceRemoved => "InstanceRemoved",
            Self::SpecChanged => "SpecChanged",
            Self::ExceptionsChanged => "ExceptionsChanged",
            Self::RulesChanged => "RulesChanged",
            Self::TimePassed => "TimePassed",
        }
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationDue {
    /// Now.
    Now(Cause),
    /// Not before this instant, if nothing changes.
    Later(Timestamp),
    /// Only when something changes.
    OnChange,
}

/// Decides.
pub fn decide(facts: &EvaluationFacts<'_>, patience: Patience, now: Timestamp) -> EvaluationDue {
    let due = wanted(facts, patience, now);
    match (facts.failed, due) {
        (Some(failed), EvaluationDue::Now(_)) => {
            let again = failed.at + backoff(&failed);
            if again > now { EvaluationDue::Later(again) } else { due }
        }
        _ => due,
    }
}

/// Whether all that is known has been evaluated, so that only time can ask for more. Then a failed attempt has nothing
/// left to be tried again for: it had written everything before it was lost.
pub fn is_settled(facts: &EvaluationFacts<'_>, patience: Patience, now: Timestamp) -> bool {
    !matches!(wanted(facts, patience, now), EvaluationDue::Now(_))
        && !facts.instances.iter().any(|instance| is_unevaluated(instance, facts.status))
}

/// Distance to the failed attempt. A failed evaluation costs no source system anything, so that every cause but the loss
/// of the process is treated alike.
fn backoff(failed: &FailedAttempt) -> SignedDuration {
    let reason = if failed.reason == Reason::Lost { Reason::Lost } else { Reason::InternalError };
    wait_after(reason, failed.count)
}

fn wanted(facts: &EvaluationFacts<'_>, patience: Patience, now: Timestamp) -> EvaluationDue {
    let fresh: Vec<&Instance> = facts.instances.iter().filter(|i| is_unevaluated(i, facts.status)).collect();
    let Some(status) = facts.status.filter(|s| s.as_of.is_some()) else {
        return if fresh.is_empty() { EvaluationDue::OnChange } else { after_scans(facts, &fresh, patience, now) };
    };
    if status.inputs.iter().any(|input| !facts.instances.iter().any(|i| i.uid == input.instance_uid)) {
        return EvaluationDue::Now(Cause::InstanceRemoved);
    }
    if status.observed_generation != Some(facts.generation) {
        return EvaluationDue::Now(Cause::SpecChanged);
    }
    if status.exceptions.as_ref().map_or("", |seen| seen.digest.as_str()) != facts.exceptions.digest {
        return EvaluationDue::Now(Cause::ExceptionsChanged);
    }
    if !facts.rules_current && status.rule_pack.as_deref() != Some(facts.rule_pack) {
        return EvaluationDue::Now(Cause::RulesChanged);
    }
    let transition = status.next_transition.as_ref().map(|t| t.0);
    if transition.is_some_and(|at| at <= now) {
        return EvaluationDue::Now(Cause::TimePassed);
    }
    let by_time = transition.map_or(EvaluationDue::OnChange, EvaluationDue::Later);
    if fresh.is_empty() {
        return by_time;
    }
    match (after_scans(facts, &fresh, patience, now), transition) {
        (EvaluationDue::Later(at), Some(transition)) => EvaluationDue::Later(at.min(transition)),
        (due, _) => due,
    }
}

/// New snapshots wait a little for the scans that are still under way, so that one evaluation sees them all.
fn after_scans(facts: &EvaluationFacts<'_>, fresh: &[&Instance], patience: Patience, now: Timestamp) -> EvaluationDue {
    let since = |i: &Instance| i.scanning_since.map(|at| at + patience.quiet).filter(|until| *until > now);
    let Some(quiet_at) = facts.instances.iter().filter_map(since).max() else {
        return EvaluationDue::Now(Cause::NewSnapshot);
    };
    let oldest = fresh.iter().filter_map(|i| i.snapshot.as_ref()).map(|s| s.collected_at + patience.max_delay).min();
    match oldest {
        Some(at) if at <= now => EvaluationDue::Now(Cause::NewSnapshot),
        Some(at) => EvaluationDue::Later(quiet_at.min(at)),
        None => EvaluationDue::Later(quiet_at),
    }
}

/// Whether the instance's snapshot has not been looked at. One that an evaluation set aside as unreadable has been: the
/// status names what was ordered, whatever stood in for it.
fn is_unevaluated(instance: &Instance, status: Option<&EstateStatus>) -> bool {
    let Some(snapshot) = &instance.snapshot else { return false };
    let inputs = status.map(|status| status.inputs.as_slice()).unwrap_or_default();
    !inputs.iter().any(|i| i.instance_uid == instance.uid && i.snapshot_digest == snapshot.digest)
}

/// What an order needs besides the facts.
#[derive(Clone, Debug)]
pub struct OrderContext<'a> {
    /// The estate.
    pub namespace: &'a str,
    /// The Estate's spec as JSON.
    pub estate_spec: serde_json::Value,
    /// Most Findings kept as resources.
    pub max_findings: u32,
    /// Most uncompressed bytes of one snapshot.
    pub max_snapshot_bytes: Option<u64>,
    /// The store.
    pub store: StoreAccess,
}

/// The order as of `now`.
pub fn order(facts: &EvaluationFacts<'_>, context: OrderContext<'_>, now: Timestamp) -> EvaluateRequest {
    let mut inputs: Vec<EvaluateInput> = facts.instances.iter().filter_map(input).collect();
    inputs.sort_by(|a, b| a.instance_uid.cmp(&b.instance_uid));
    let without = facts.instances.iter().filter(|i| i.snapshot.is_none());
    let mut waiting: Vec<String> = without.map(|i| i.uid.clone()).collect();
    waiting.sort();
    EvaluateRequest {
        namespace: context.namespace.to_owned(),
        as_of: now,
        inputs,
        waiting,
        ledger: facts.status.and_then(|s| s.ledger.clone()),
        estate_spec: context.estate_spec,
        estate_generation: facts.generation,
        max_findings: context.max_findings,
        max_snapshot_bytes: context.max_snapshot_bytes,
        exceptions: facts.exceptions.clone(),
        store: context.store,
    }
}

fn input(instance: &Instance) -> Option<EvaluateInput> {
    let snapshot = instance.snapshot.as_ref()?;
    Some(EvaluateInput {
        instance: instance.name.clone(),
        instance_uid: instance.uid.clone(),
        system: instance.system.clone(),
        tenant: instance.tenant.clone(),
        snapshot_id: snapshot.id.clone(),
        snapshot_digest: snapshot.digest.clone(),
    })
}

/// The order to carry out: the failed one again, to the byte, when it asks for the same thing; else the new one.
pub fn same_or_new(failed: Option<EvaluateRequest>, new: EvaluateRequest) -> EvaluateRequest {
    match failed {
        Some(failed) if (EvaluateRequest { as_of: failed.as_of, ..new.clone() }) == failed => failed,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use sv0_api::{EvaluatedInput, ExceptionCounts};

    const NOW: &str = "2026-05-05T12:00:00Z";
    static NO_EXCEPTIONS: EvaluateExceptions =
        EvaluateExceptions { digest: String::new(), considered: Vec::new(), left_out: Vec::new(), left_out_total: 0 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minutes_ago(minutes: i64) -> Timestamp {
        at(NOW) - SignedDuration::from_mins(minutes)
    }

    fn patience() -> Patience {
        Patience { quiet: SignedDuration::from_mins(10), max_delay: SignedDuration::from_mins(15) }
    }

    fn instance(uid: &str, snapshot: Option<(&str, i64)>, scanning: Option<i64>) -> Instance {
        Instance {
            name: format!("name-{uid}"),
            uid: uid.to_owned(),
            system: "entra".to_owned(),
            tenant: "t".to_owned(),
            snapshot: snapshot.map(|(digest, minutes)| Snapshot {
                id: format!("id-{digest}"),
                digest: digest.to_owned(),
                collected_at: minutes_ago(minutes),
            }),
            scanning_since: scanning.map(minutes_ago),
        }
    }

    fn evaluated(inputs: &[(&str, &str)]) -> EstateStatus {
        EstateStatus {
            observed_generation: Some(1),
            as_of: Some(Time(minutes_ago(60))),
            next_transition: Some(Time(at("2026-05-06T00:00:00Z"))),
            rule_pack: Some("1".to_owned()),
            ledger: Some("sha256:l".to_owned()),
            inputs: inputs
                .iter()
                .map(|(uid, digest)| EvaluatedInput {
                    instance: format!("name-{uid}"),
                    instance_uid: (*uid).to_owned(),
                    snapshot_id: format!("id-{digest}"),
                    snapshot_digest: (*digest).to_owned(),
                    quarantined: None,
                })
                .collect(),
            ..EstateStatus::default()
        }
    }

    fn later(text: &str) -> EvaluationDue {
        EvaluationDue::Later(at(text))
    }

    fn settled() -> EstateStatus {
        evaluated(&[("a", "1")])
    }

    fn facts<'a>(
        status: Option<&'a EstateStatus>,
        instances: &'a [Instance],
        failed: Option<FailedAttempt>,
    ) -> EvaluationFacts<'a> {
        EvaluationFacts {
            generation: 1,
            status,
            instances,
            exceptions: &NO_EXCEPTIONS,
            rule_pack: "1",
            rules_current: false,
            failed,
        }
    }

    #[rstest]
    #[case::nothing_yet(None, vec![instance("a", None, None)], EvaluationDue::OnChange)]
    #[case::first(None, vec![instance("a", Some(("1", 1)), None)], EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::first_waits_for_the_other(None, vec![instance("a", Some(("1", 1)), None), instance("b", None, Some(2))], later("2026-05-05T12:08:00Z"))]
    #[case::settled(Some(settled()), vec![instance("a", Some(("1", 90)), None)], later("2026-05-06T00:00:00Z"))]
    #[case::rescan_of_its_own_is_waited_for(Some(settled()), vec![instance("a", Some(("2", 3)), Some(1))], later("2026-05-05T12:09:00Z"))]
    #[case::long_scan_is_not_waited_for(Some(settled()), vec![instance("a", Some(("2", 3)), None), instance("b", None, Some(11))], EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::too_old_to_wait(Some(settled()), vec![instance("a", Some(("2", 15)), None), instance("b", None, Some(1))], EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::almost_too_old(Some(settled()), vec![instance("a", Some(("2", 14)), None), instance("b", None, Some(1))], later("2026-05-05T12:01:00Z"))]
    #[case::removed(Some(evaluated(&[("a", "1"), ("b", "1")])), vec![instance("a", Some(("1", 90)), None)], EvaluationDue::Now(Cause::InstanceRemoved))]
    #[case::last_one_removed(Some(settled()), vec![], EvaluationDue::Now(Cause::InstanceRemoved))]
    #[case::recreated_under_the_same_name(Some(settled()), vec![instance("z", None, Some(1))], EvaluationDue::Now(Cause::InstanceRemoved))]
    #[case::spec(Some(EstateStatus { observed_generation: Some(0), ..settled() }), vec![instance("a", Some(("1", 90)), None)], EvaluationDue::Now(Cause::SpecChanged))]
    #[case::rules(Some(EstateStatus { rule_pack: Some("0".into()), ..settled() }), vec![instance("a", Some(("1", 90)), None)], EvaluationDue::Now(Cause::RulesChanged))]
    #[case::time(Some(EstateStatus { next_transition: Some(Time(minutes_ago(0))), ..settled() }), vec![instance("a", Some(("1", 90)), None)], EvaluationDue::Now(Cause::TimePassed))]
    #[case::emptied_and_empty(Some(evaluated(&[])), vec![], later("2026-05-06T00:00:00Z"))]
    #[case::transition_before_the_quiet_end(
        Some(EstateStatus { next_transition: Some(Time(at("2026-05-05T12:02:00Z"))), ..settled() }),
        vec![instance("a", Some(("2", 3)), Some(1))], later("2026-05-05T12:02:00Z"))]
    fn table(#[case] status: Option<EstateStatus>, #[case] instances: Vec<Instance>, #[case] expected: EvaluationDue) {
        assert_eq!(decide(&facts(status.as_ref(), &instances, None), patience(), at(NOW)), expected);
    }

    /// A snapshot that was set aside is not tried for ever; the next one is, also when its scan began before that.
    #[rstest]
    #[case::the_one_that_was_set_aside("poison", 90, later("2026-05-06T00:00:00Z"))]
    #[case::one_that_began_after_the_evaluation("2", 30, EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::one_that_began_before_the_evaluation("2", 90, EvaluationDue::Now(Cause::NewSnapshot))]
    fn quarantine(#[case] digest: &str, #[case] age: i64, #[case] expected: EvaluationDue) {
        let mut status = evaluated(&[("a", "poison")]);
        status.inputs[0].quarantined = Some("ResponseMalformed: evaluated with id-0 instead".to_owned());
        let instances = [instance("a", Some((digest, age)), None)];
        assert_eq!(decide(&facts(Some(&status), &instances, None), patience(), at(NOW)), expected);
    }

    #[rstest]
    #[case::older_rules(Some("0"), false, EvaluationDue::Now(Cause::RulesChanged))]
    #[case::written_before_rules_were_named(None, false, EvaluationDue::Now(Cause::RulesChanged))]
    #[case::these_rules(Some("1"), false, later("2026-05-06T00:00:00Z"))]
    #[case::these_rules_after_an_evaluation(Some("1"), true, later("2026-05-06T00:00:00Z"))]
    #[case::another_name_from_the_same_build(Some("0"), true, later("2026-05-06T00:00:00Z"))]
    fn new_rules_mean_one_evaluation(
        #[case] shown: Option<&str>,
        #[case] current: bool,
        #[case] expected: EvaluationDue,
    ) {
        let status = EstateStatus { rule_pack: shown.map(str::to_owned), ..settled() };
        let instances = [instance("a", Some(("1", 90)), None)];
        let facts = EvaluationFacts { rules_current: current, ..facts(Some(&status), &instances, None) };
        assert_eq!(decide(&facts, patience(), at(NOW)), expected);
    }

    #[rstest]
    #[case::none(None, None, later("2026-05-06T00:00:00Z"))]
    #[case::as_evaluated(Some("sha256:a"), Some("sha256:a"), later("2026-05-06T00:00:00Z"))]
    #[case::the_first(None, Some("sha256:a"), EvaluationDue::Now(Cause::ExceptionsChanged))]
    #[case::another_set(Some("sha256:a"), Some("sha256:b"), EvaluationDue::Now(Cause::ExceptionsChanged))]
    #[case::the_last_is_gone(Some("sha256:a"), None, EvaluationDue::Now(Cause::ExceptionsChanged))]
    fn another_set_of_exceptions_means_one_evaluation(
        #[case] shown: Option<&str>,
        #[case] live: Option<&str>,
        #[case] expected: EvaluationDue,
    ) {
        let exceptions =
            shown.map(|digest| ExceptionCounts { digest: digest.to_owned(), ..ExceptionCounts::default() });
        let status = EstateStatus { exceptions, ..settled() };
        let instances = [instance("a", Some(("1", 90)), None)];
        let live = EvaluateExceptions { digest: live.unwrap_or_default().to_owned(), ..EvaluateExceptions::default() };
        let facts = EvaluationFacts { exceptions: &live, ..facts(Some(&status), &instances, None) };
        assert_eq!(decide(&facts, patience(), at(NOW)), expected);
        let settled = !matches!(expected, EvaluationDue::Now(_));
        assert_eq!(is_settled(&facts, patience(), at(NOW)), settled, "a lost attempt is made again for it");
        let nothing = EvaluationFacts { status: None, instances: &[], ..facts };
        assert_eq!(decide(&nothing, patience(), at(NOW)), EvaluationDue::OnChange, "without findings it means nothing");
    }

    #[test]
    fn the_order_carries_the_exceptions_and_another_set_is_another_order() {
        let a = [instance("a", Some(("1", 20)), None)];
        let failed = ordered(&a, minutes_ago(5));
        let mut other = ordered(&a, at(NOW));
        other.exceptions.digest = "sha256:b".to_owned();
        assert_eq!(same_or_new(Some(failed), other.clone()), other);
    }

    #[test]
    fn new_rules_do_not_hurry_a_failing_evaluation() {
        let status = EstateStatus { rule_pack: Some("0".to_owned()), ..settled() };
        let instances = [instance("a", Some(("1", 90)), None)];
        let failed = Some(FailedAttempt { reason: Reason::StoreUnavailable, at: minutes_ago(0), count: 1 });
        let due = decide(&facts(Some(&status), &instances, failed), patience(), at(NOW));
        assert_eq!(due, later("2026-05-05T12:01:00Z"));
    }

    #[rstest]
    #[case::wait(Reason::StoreUnavailable, 1, 0, later("2026-05-05T12:01:00Z"))]
    #[case::waited(Reason::StoreUnavailable, 1, 1, EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::longer_after_more(Reason::StoreUnavailable, 3, 1, later("2026-05-05T12:04:00Z"))]
    #[case::not_an_hour(Reason::StoreFull, 1, 1, EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::lost(Reason::Lost, 1, 0, EvaluationDue::Now(Cause::NewSnapshot))]
    #[case::lost_again(Reason::Lost, 2, 0, later("2026-05-05T12:01:00Z"))]
    fn failed_attempts(
        #[case] reason: Reason,
        #[case] count: u32,
        #[case] minutes: i64,
        #[case] expected: EvaluationDue,
    ) {
        let instances = [instance("a", Some(("1", 20)), None)];
        let failed = Some(FailedAttempt { reason, at: minutes_ago(minutes), count });
        let facts = facts(None, &instances, failed);
        assert_eq!(decide(&facts, patience(), at(NOW)), expected);
    }

    #[rstest]
    #[case::all_used(&[instance("a", Some(("1", 90)), None)], true)]
    #[case::never_scanned(&[instance("a", Some(("1", 90)), None), instance("b", None, None)], true)]
    #[case::a_new_snapshot(&[instance("a", Some(("2", 0)), None)], false)]
    #[case::a_new_snapshot_that_waits_for_a_scan(
        &[instance("a", Some(("2", 0)), None), instance("b", None, Some(0))], false)]
    #[case::one_is_gone(&[], false)]
    fn a_failed_attempt_is_done_with_when_all_is_evaluated(#[case] instances: &[Instance], #[case] expected: bool) {
        let status = settled();
        let failed = Some(FailedAttempt { reason: Reason::Lost, at: minutes_ago(0), count: 1 });
        assert_eq!(is_settled(&facts(Some(&status), instances, failed), patience(), at(NOW)), expected);
    }

    fn ordered(instances: &[Instance], now: Timestamp) -> EvaluateRequest {
        let status = settled();
        let facts = EvaluationFacts { generation: 4, ..facts(Some(&status), instances, None) };
        let context = OrderContext {
            namespace: "team-a",
            estate_spec: serde_json::json!({"thresholds": {"rotateDays": 90}}),
            max_findings: 1000,
            max_snapshot_bytes: None,
            store: StoreAccess { url: "https://store".into(), ca_pem: "pem".into() },
        };
        order(&facts, context, now)
    }

    #[test]
    fn an_order_does_not_depend_on_the_order_of_instances() {
        let a = instance("a", Some(("1", 20)), None);
        let b = instance("b", Some(("2", 30)), None);
        let (c, d) = (instance("c", None, None), instance("d", None, None));
        let one = ordered(&[a.clone(), b.clone(), c.clone(), d.clone()], at(NOW));
        let two = ordered(&[d, b, c, a], at(NOW));
        assert_eq!(one, two);
        assert_eq!(one.inputs.iter().map(|i| i.instance_uid.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(one.waiting, ["c", "d"]);
        assert_eq!((one.ledger.as_deref(), one.estate_generation), (Some("sha256:l"), 4));
    }

    #[test]
    fn a_retry_is_identical_unless_something_else_is_asked_for() {
        let a = [instance("a", Some(("1", 20)), None)];
        let failed = ordered(&a, minutes_ago(5));
        assert_eq!(same_or_new(Some(failed.clone()), ordered(&a, at(NOW))), failed);
        let other = ordered(&[instance("a", Some(("2", 1)), None)], at(NOW));
        assert_eq!(same_or_new(Some(failed), other.clone()), other);
        assert_eq!(same_or_new(None, other.clone()), other);
    }
}
