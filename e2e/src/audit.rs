//! The API server's audit log, read as it grows: who did what to which object, and how it was answered.
//!
//! Takes the log's path; gives finished requests in the order in which the API server wrote them down. The server writes
//! an entry before it answers, so a reader sees a write about when its author learns of it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::Result;

/// One finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was answered.
    pub at: Timestamp,
    /// Who asked, by the API server's name for them (the impersonated user where somebody acts as another).
    pub user: String,
    /// `get`, `create`, `patch`, ...
    pub verb: String,
    /// Plural of the kind, with `/subresource` if one was meant; empty for requests about no object.
    pub resource: String,
    /// Namespace; empty for objects without one.
    pub namespace: String,
    /// Name; empty where the request names none.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
}

impl Event {
    /// Whether it changed something.
    pub fn is_write(&self) -> bool {
        let changes = ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str());
        changes && (200..300).contains(&self.code)
    }
}

/// The log from where it ended when this was made.
#[derive(Debug)]
pub struct Tail {
    file: File,
    // The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Begins at the present end of the log.
    pub fn from_now(path: &Path) -> Result<Self> {
        let mut file =
            File::open(path).map_err(|e| format!("cannot read the API server's audit log {}: {e}", path.display()))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, rest: Vec::new() })
    }

    /// What was written since the last call.
    pub fn read(&mut self) -> Result<Vec<Event>> {
        self.file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        Ok(lines.split(|byte| *byte == b'\n').filter_map(parse).collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    impersonated_user: Option<User>,
    #[serde(default)]
    object_ref: Option<Object>,
    #[serde(default)]
    response_status: Option<Answer>,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    code: u16,
}

/// A line of the log, if it is about a finished request.
fn parse(line: &[u8]) -> Option<Event> {
    let line: Line = serde_json::from_slice(line).ok()?;
    if line.stage != "ResponseComplete" {
        return None;
    }
    let object = line.object_ref.unwrap_or_default();
    let slash = if object.subresource.is_empty() { "" } else { "/" };
    Some(Event {
        at: line.stage_timestamp,
        user: line.impersonated_user.unwrap_or(line.user).username,
        verb: line.verb,
        resource: format!("{}{slash}{}", object.resource, object.subresource),
        namespace: object.namespace,
        name: object.name,
        code: line.response_status.map_or(0, |answer| answer.code),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn line(stage: &str, verb: &str, code: u16) -> String {
        let event = json!({
            "stage": stage, "verb": verb, "user": {"username": "admin"}, "impersonatedUser": {"username": "robin"},
            "objectRef": {"resource": "estates", "subresource": "status", "namespace": "a", "name": "default"},
            "responseStatus": {"metadata": {}, "code": code}, "stageTimestamp": "2026-05-05T10:00:00.000001Z",
        });
        format!("{event}\n")
    }

    #[test]
    fn only_finished_requests_are_given_and_half_a_line_waits_for_its_other_half() {
        let path = std::env::temp_dir().join(format!("securityv0-audit-{}.log", std::process::id()));
        let mut log = File::create(&path).unwrap();
        log.write_all(line("ResponseComplete", "patch", 200).as_bytes()).unwrap();
        let mut tail = Tail::from_now(&path).unwrap();
        assert!(tail.read().unwrap().is_empty(), "what was there before is not read");

        let text = line("ResponseStarted", "watch", 200) + &line("ResponseComplete", "patch", 200);
        let (first, second) = text.split_at(text.len() - 20);
        log.write_all(first.as_bytes()).unwrap();
        assert!(tail.read().unwrap().is_empty());
        log.write_all(second.as_bytes()).unwrap();
        let seen = tail.read().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].user.as_str(), seen[0].resource.as_str(), seen[0].code), ("robin", "estates/status", 200));
        assert!(seen[0].is_write());
    }

    #[test]
    fn refused_writes_and_reads_are_no_writes() {
        let writes = |verb, code| parse(line("ResponseComplete", verb, code).as_bytes()).unwrap().is_write();
        assert!(writes("create", 201));
        assert!(!writes("create", 409) && !writes("get", 200) && !writes("watch", 200));
    }
}
