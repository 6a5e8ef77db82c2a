//! Ten thousand Findings: copies of real ones under other names, written as the evaluation writes them, by its account.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::world::ESTATES;
use sv0_e2e::{Kubectl, World, eventually};

/// How many.
pub(super) const COUNT: usize = 10_000;
/// The estate that gets them: no instance lives there, so nobody removes them as not wanted.
pub(super) const ESTATE: &str = ESTATES[1];
/// Findings in one call of `kubectl`.
const CHUNK: usize = 500;
/// Calls at a time: each is slowed down by `kubectl`'s own limit.
const WRITERS: usize = 4;
/// Findings in one answer when their sizes are looked at.
const PAGE: usize = 500;

/// Sizes of stored Findings in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) median: usize,
    pub(super) largest: usize,
}

/// Writes the Findings; `models` are real ones.
pub(super) fn create(world: &World, models: &[Value]) -> Result<Duration> {
    if models.is_empty() {
        bail!("there is no Finding to copy");
    }
    let writer = world.kubectl.as_account(SYSTEM, &format!("evaluate-{ESTATE}"));
    let started = Instant::now();
    let chunks: Vec<usize> = (0..COUNT).step_by(CHUNK).collect();
    let write = |first: usize| -> Result<()> {
        let items: Vec<Value> = (first..COUNT.min(first + CHUNK)).map(|n| copy(&models[n % models.len()], n)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let done = writer.run_with(&["create", "--validate=false", "-o", "name", "-f", "-"], &list);
        done.map(drop).map_err(|error| anyhow!("{error}")).context("cannot write Findings")
    };
    thread::scope(|scope| {
        let share = |n: usize| chunks.iter().copied().skip(n).step_by(WRITERS).try_for_each(write);
        let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || share(n))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer broke"))?)
    })?;
    Ok(started.elapsed())
}

/// A real Finding under another name, about another object.
fn copy(model: &Value, n: usize) -> Value {
    let mut spec = model["spec"].clone();
    if let Some(subject) = spec["subject"].as_object_mut() {
        let id = subject.get("id").and_then(Value::as_str).unwrap_or_default();
        // As long as the real one, and different for each.
        let keep = id.len().saturating_sub(12);
        let other = format!("{}{n:012}", id.get(..keep).unwrap_or_default());
        subject.insert("id".into(), json!(other));
    }
    let name = model["metadata"]["name"].as_str().unwrap_or_default();
    let rule = name.get(..name.len().saturating_sub(16)).unwrap_or_default();
    json!({
        "apiVersion": model["apiVersion"], "kind": model["kind"],
        "metadata": {
            "name": format!("{rule}{n:016x}"), "namespace": ESTATE, "labels": model["metadata"]["labels"],
        },
        "spec": spec,
    })
}

/// How large Findings are as the API server stores them: their JSON without spaces. All are looked at: the first ones by
/// name are copies of one and the same.
pub(super) fn sizes(kubectl: &Kubectl, estate: &str) -> Result<Sizes> {
    let mut sizes = Vec::new();
    let mut token = String::new();
    loop {
        let all = format!("/apis/securityv0.com/v1alpha1/namespaces/{estate}/findings");
        let path = format!("{all}?limit={PAGE}&continue={token}");
        let text = kubectl.run(&["get", "--raw", &path]).map_err(|error| anyhow!("{error}"))?;
        let list: Value = serde_json::from_str(&text)?;
        sizes.extend(list["items"].as_array().into_iter().flatten().map(|item| item.to_string().len()));
        match list["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => return summary(sizes).context("no Finding was stored"),
        }
    }
}

fn summary(mut sizes: Vec<usize>) -> Option<Sizes> {
    sizes.sort_unstable();
    Some(Sizes { median: *sizes.get(sizes.len() / 2)?, largest: *sizes.last()? })
}

/// Removes all Findings of an estate, in one request.
pub(super) fn remove(kubectl: &Kubectl, estate: &str) -> Result<()> {
    let path = format!("/apis/securityv0.com/v1alpha1/namespaces/{estate}/findings");
    let all = format!("{path}?limit=1");
    eventually("the removal of all Findings", Duration::from_mins(5), || {
        kubectl.run(&["delete", "--raw", &path])?;
        let list: Value = serde_json::from_str(&kubectl.run(&["get", "--raw", &all])?)?;
        if list["items"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err("some are left".into()) }
    })
    .map_err(|error| anyhow!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_differs_in_name_and_subject_and_in_nothing_else() {
        let model = json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "Finding",
            "metadata": {"name": "orph-001-0123456789abcdef", "labels": {"l": "v"}, "uid": "u", "namespace": "x"},
            "spec": {"why": "w", "subject": {"id": "entra:t:serviceprincipal:0d9ff5f2-6b8c-4f3a-9f52-6a2f0a7f5b01"}},
        });
        let (one, two) = (copy(&model, 1), copy(&model, 255));
        assert_eq!(two["metadata"]["name"], "orph-001-00000000000000ff");
        assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
        assert_ne!(one["spec"]["subject"]["id"], two["spec"]["subject"]["id"]);
        let length = |value: &Value| value["spec"].to_string().len();
        assert_eq!(length(&one), length(&model));
        assert_eq!((&one["spec"]["why"], &one["metadata"]["uid"]), (&model["spec"]["why"], &Value::Null));
    }

    #[test]
    fn the_median_and_the_largest() {
        assert_eq!(summary(vec![5, 1, 9]), Some(Sizes { median: 5, largest: 9 }));
        assert_eq!(summary(Vec::new()), None);
    }
}
