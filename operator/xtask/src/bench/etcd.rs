//! How large etcd's file is, where this machine runs etcd itself: asked through etcd's JSON gateway.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

/// Where the cluster that is built on this machine has its etcd.
const ADDRESS: &str = "127.0.0.1:12379";
/// Rewriting the file takes a while when it is large.
const PATIENCE: Duration = Duration::from_mins(2);

/// Whether etcd is within reach.
pub(super) fn is_here() -> bool {
    ask("/v3/maintenance/status", &json!({})).is_ok()
}

/// Bytes of etcd's file once old revisions are dropped and holes are closed.
pub(super) fn compacted_size() -> Result<u64> {
    let status = ask("/v3/maintenance/status", &json!({}))?;
    let revision = status["header"]["revision"].as_str().context("etcd names no revision")?;
    ask("/v3/kv/compaction", &json!({"revision": revision, "physical": true}))?;
    ask("/v3/maintenance/defragment", &json!({}))?;
    let status = ask("/v3/maintenance/status", &json!({}))?;
    let size = status["dbSize"].as_str().and_then(|text| text.parse().ok());
    size.ok_or_else(|| anyhow!("etcd names no size: {status}"))
}

/// One request of HTTP/1.0, so that the answer ends with the connection.
fn ask(path: &str, body: &Value) -> Result<Value> {
    let mut connection = TcpStream::connect(ADDRESS).with_context(|| format!("etcd does not answer at {ADDRESS}"))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let body = body.to_string();
    write!(
        connection,
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    content(&answer).with_context(|| format!("etcd refused {path}: {}", answer.lines().next().unwrap_or_default()))
}

/// The JSON of a successful answer.
fn content(answer: &str) -> Result<Value> {
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    if head.split_whitespace().nth(1) != Some("200") {
        return Err(anyhow!("{}", body.trim()));
    }
    Ok(serde_json::from_str(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_read() {
        assert_eq!(content("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"x\":1}").unwrap()["x"], 1);
        let error = content("HTTP/1.0 400 Bad Request\r\n\r\n{\"message\":\"no\"}").unwrap_err();
        assert!(error.to_string().contains("no"), "{error}");
        assert!(content("").is_err());
    }
}
