//! What an evaluation was told, beside what stands in the cluster: takes the pack's configuration, the Estate and its
//! exceptions; says what contradicts them, and what was changed since. A pack that is right in itself may rest on limits
//! or on accepted risks that nobody wrote: computing it again cannot show that. Pure.

use serde_json::Value;
use sv0_api::{Estate, FindingException};
use sv0_engine::accept::Exception;
use sv0_engine::evaluate::Config;
use sv0_engine::replay::between;

/// What the comparison gives, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What cannot be, unless somebody told the evaluation something else than what was written.
    pub contradictions: Vec<String>,
    /// What differs, and may since it was changed after the evaluation began.
    pub since: Vec<String>,
}

/// Compares. `exceptions` are those that stand in the namespace, or why they are not known.
pub fn told(config: &Config, estate: &Estate, exceptions: &Result<Vec<FindingException>, String>) -> Told {
    let mut told = Told::default();
    spec(config, estate, &mut told);
    match exceptions {
        Ok(live) => config.exceptions.iter().for_each(|one| exception(one, live, &mut told)),
        Err(why) => told.since.push(format!(
            "Whether the cluster has the FindingExceptions that it was told of ({}) is not known: {why}",
            config.exceptions.len()
        )),
    }
    told
}

fn spec(config: &Config, estate: &Estate, told: &mut Told) {
    let Some(difference) = between("", &json(&config.estate), &json(&estate.spec)) else { return };
    let observed = estate.status.as_ref().and_then(|status| status.observed_generation);
    // A generation grows with each change and never shrinks.
    let changed = estate.metadata.generation.zip(observed).is_none_or(|(now, evaluated)| evaluated < now);
    if changed {
        told.since.push("The Estate's spec was changed since; the next evaluation goes by it.".to_owned());
    } else {
        told.contradictions.push(format!(
            "It was told another spec than the Estate has in the generation that it names: {} was {}, the Estate says {}.",
            difference.field, difference.expected, difference.actual
        ));
    }
}

fn exception(ordered: &Exception, live: &[FindingException], told: &mut Told) {
    let name = &ordered.name;
    let Some(now) = live.iter().find(|now| now.metadata.uid.as_ref() == Some(&ordered.uid)) else {
        told.since.push(format!(
            "The FindingException {name} that it was told of is not in the cluster: deleted since, or never there."
        ));
        return;
    };
    let same = now.metadata.name.as_ref() == Some(name)
        && now.metadata.generation == Some(ordered.generation)
        && now.metadata.creation_timestamp.as_ref().is_some_and(|at| at.0 == ordered.created_at)
        && json(&now.spec) == json(&ordered.spec);
    if same {
        return;
    }
    if now.metadata.generation.is_some_and(|generation| generation > ordered.generation) {
        told.since.push(format!("The FindingException {name} was changed since; the next evaluation goes by it."));
    } else {
        told.contradictions
            .push(format!("The FindingException {name} does not say what the evaluation was told of it."));
    }
}

/// As it stands in a resource: with whole seconds, for one.
fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn config(rotate: i32, owner: &str) -> Config {
        serde_json::from_value(json!({
            "asOf": "2026-01-10T12:00:00Z", "estate": {"thresholds": {"rotateDays": rotate}}, "waiting": [],
            "maxFindings": 10,
            "exceptions": [{"name": "known", "uid": "u", "generation": 2, "createdAt": "2026-01-01T00:00:00Z", "spec": {
                "match": {"rules": ["CRED-002"]}, "owner": owner, "reason": "r", "expiresAt": "2026-07-01T00:00:00Z"}}],
        }))
        .unwrap()
    }

    fn estate(generation: i64, observed: i64) -> Estate {
        serde_json::from_value(json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "Estate", "metadata": {"name": "default", "generation": generation},
            "spec": {}, "status": {"observedGeneration": observed},
        }))
        .unwrap()
    }

    fn live(uid: &str, generation: i64, expires: &str) -> Vec<FindingException> {
        vec![
            serde_json::from_value(json!({
                "apiVersion": "securityv0.com/v1alpha1", "kind": "FindingException",
                "metadata": {"name": "known", "uid": uid, "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"match": {"rules": ["CRED-002"]}, "owner": "team", "reason": "r", "expiresAt": expires},
            }))
            .unwrap(),
        ]
    }

    const JULY: &str = "2026-07-01T00:00:00.5Z";

    #[rstest]
    #[case::as_written(config(90, "team"), estate(3, 3), live("u", 2, JULY), (0, 0))]
    #[case::a_made_up_limit(config(3650, "team"), estate(3, 3), live("u", 2, JULY), (1, 0))]
    #[case::a_generation_to_come(config(3650, "team"), estate(3, 4), live("u", 2, JULY), (1, 0))]
    #[case::a_spec_that_was_changed(config(3650, "team"), estate(4, 3), live("u", 2, JULY), (0, 1))]
    #[case::a_made_up_owner(config(90, "another"), estate(3, 3), live("u", 2, JULY), (1, 0))]
    #[case::a_longer_acceptance(config(90, "team"), estate(3, 3), live("u", 2, "2026-02-01T00:00:00Z"), (1, 0))]
    #[case::an_exception_that_was_changed(config(90, "another"), estate(3, 3), live("u", 3, JULY), (0, 1))]
    #[case::an_exception_to_come(config(90, "team"), estate(3, 3), live("u", 1, JULY), (1, 0))]
    #[case::an_exception_that_is_gone(config(90, "team"), estate(3, 3), live("v", 2, JULY), (0, 1))]
    fn what_was_told_is_held_against_the_cluster(
        #[case] config: Config,
        #[case] estate: Estate,
        #[case] exceptions: Vec<FindingException>,
        #[case] expected: (usize, usize),
    ) {
        let told = told(&config, &estate, &Ok(exceptions));
        assert_eq!((told.contradictions.len(), told.since.len()), expected, "{told:?}");
    }

    #[test]
    fn what_may_not_be_read_is_said() {
        let told = told(&config(90, "team"), &estate(3, 3), &Err("forbidden".to_owned()));
        assert_eq!(
            told.since,
            ["Whether the cluster has the FindingExceptions that it was told of (1) is not known: forbidden"]
        );
    }
}
