//! Which `FindingExceptions` an evaluation's order names, and what tells one set of them from another.
//!
//! Pure: what the cache knows in, the order's part out. The manager sees only which exceptions there are. What they say,
//! subjects of source systems among it, is read by the evaluation: a UID with a generation stands for exactly one spec.

use jiff::Timestamp;
use kube::core::ObjectMeta;
use sv0_protocol::{EvaluateException, EvaluateExceptions, MAX_EXCEPTIONS, MAX_LEFT_OUT};

use crate::pod;

/// The order's part for the exceptions with this metadata, in any order. Those that are being deleted are gone.
pub fn order<'a>(all: impl IntoIterator<Item = &'a ObjectMeta>) -> EvaluateExceptions {
    let mut live: Vec<(Timestamp, EvaluateException)> = all.into_iter().filter_map(exception).collect();
    if live.is_empty() {
        return EvaluateExceptions::default();
    }
    // The oldest first: a new one is left out before it takes the place of another.
    live.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    let mut considered: Vec<EvaluateException> = live.into_iter().map(|(_, one)| one).collect();
    let digest = digest(&considered);
    let beyond = considered.split_off(considered.len().min(MAX_EXCEPTIONS));
    considered.sort_by(|a, b| a.name.cmp(&b.name));
    let mut left_out: Vec<String> = beyond.iter().take(MAX_LEFT_OUT).map(|one| one.uid.clone()).collect();
    left_out.sort();
    let left_out_total = u32::try_from(beyond.len()).unwrap_or(u32::MAX);
    EvaluateExceptions { digest, considered, left_out, left_out_total }
}

fn exception(metadata: &ObjectMeta) -> Option<(Timestamp, EvaluateException)> {
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    let one = EvaluateException {
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
        generation: metadata.generation.unwrap_or_default(),
    };
    Some((metadata.creation_timestamp.as_ref()?.0, one))
}

/// `sha256:<hex>` over UIDs and generations in any order. A status changes neither, so that an evaluation cannot cause
/// another one by writing what it found.
fn digest(all: &[EvaluateException]) -> String {
    let mut lines: Vec<String> = all.iter().map(|one| format!("{} {}\n", one.uid, one.generation)).collect();
    lines.sort();
    format!("sha256:{}", pod::short_hash(&[&lines.concat()], 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Made on the `day`-th of January.
    fn metadata(name: &str, day: u8, generation: i64) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": name, "namespace": "team-a", "uid": format!("uid-{name}"), "generation": generation,
            "resourceVersion": format!("{name}-{day}"), "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z"),
        }))
        .unwrap()
    }

    fn names(order: &EvaluateExceptions) -> Vec<&str> {
        order.considered.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn an_order_does_not_depend_on_the_order_of_the_cache() {
        let (a, b, c) = (metadata("a", 3, 1), metadata("b", 2, 1), metadata("c", 1, 4));
        let one = order([&a, &b, &c]);
        assert_eq!(one, order([&c, &a, &b]));
        assert_eq!(names(&one), ["a", "b", "c"]);
        assert_eq!((one.considered[2].uid.as_str(), one.considered[2].generation), ("uid-c", 4));
        assert_eq!((one.left_out.len(), one.left_out_total), (0, 0));
        assert!(order([]).is_empty() && !one.is_empty());
    }

    #[test]
    fn the_digest_tells_sets_and_generations_apart_and_nothing_else() {
        let (a, b) = (metadata("a", 1, 1), metadata("b", 1, 1));
        let one = order([&a, &b]).digest;
        assert!(one.starts_with("sha256:") && one.len() == 71, "{one}");
        let others = [order([&a]), order([&a, &metadata("b", 1, 2)]), order([&a, &metadata("c", 1, 1)]), order([])];
        assert!(others.iter().all(|other| other.digest != one));
        // A status was written, a label set: another resourceVersion, the same generation.
        let mut written = b;
        written.resource_version = Some("9".to_owned());
        written.labels = Some([("a".to_owned(), "b".to_owned())].into());
        assert_eq!(order([&a, &written]).digest, one);
        written.deletion_timestamp = written.creation_timestamp.clone();
        assert_eq!(order([&a, &written]), order([&a]), "one that is being deleted is gone");
    }

    #[test]
    fn the_oldest_are_taken_and_the_others_are_counted() {
        let mut all: Vec<ObjectMeta> = (0..450).map(|n| metadata(&format!("e{n:03}"), 9, 1)).collect();
        all[449].creation_timestamp = metadata("x", 1, 1).creation_timestamp;
        let order = order(&all);
        assert_eq!(order.considered.len(), MAX_EXCEPTIONS);
        assert_eq!((names(&order)[0], *names(&order).last().unwrap()), ("e000", "e449"));
        assert_eq!((order.left_out.len(), order.left_out_total), (MAX_LEFT_OUT, 250));
        assert_eq!(order.left_out[0], "uid-e199");
        let bytes = serde_json::to_string(&order).unwrap().len();
        assert!(bytes < 32 * 1024, "{bytes} bytes: an order must fit into one environment variable");
        let mut another = all.clone();
        another[448].generation = Some(2);
        assert_ne!(super::order(&another).digest, order.digest, "the digest knows those too that are left out");
    }
}
