//! Microsoft Graph's ways of asking: lists, and envelopes of up to 20 reads. Everything goes through the guard.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sv0_connector::{Cause, Engine, Failure, Param, Prepared, SinkError, Tally, retry_after, walk};

/// Reads inside one envelope, by the vendor's limit.
const BATCH: usize = 20;
/// Envelopes in flight; the engine's own bound is over all of them.
const ENVELOPES: usize = 4;

#[derive(Deserialize)]
struct Envelope<B> {
    responses: Vec<Part<B>>,
}

#[derive(Deserialize)]
struct Part<B> {
    id: String,
    status: u16,
    #[serde(default)]
    headers: PartHeaders,
    #[serde(default = "Body::nothing")]
    body: Body<B>,
}

#[derive(Default, Deserialize)]
struct PartHeaders {
    #[serde(rename = "Retry-After", alias = "retry-after", default)]
    retry_after: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body<B> {
    Good(B),
    Error { error: ErrorCode },
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct ErrorCode {
    #[serde(default)]
    code: String,
}

impl<B> Body<B> {
    fn nothing() -> Self {
        Self::Other(IgnoredAny)
    }
}

/// Reads a whole list into `tally`.
pub(crate) async fn list<T: DeserializeOwned>(
    engine: &Engine,
    operation: &str,
    params: &[(&str, Param<'_>)],
    tally: &mut Tally,
    each: impl FnMut(T) -> Result<Option<String>, SinkError>,
) {
    match engine.guard().prepare(operation, params) {
        Ok(first) => walk(engine, first, tally, each).await,
        Err(refusal) => tally.report(engine.refused(&refusal)),
    }
}

/// Answers to many reads, in the order of the reads.
pub(crate) struct Answers<'a, B> {
    envelopes: BoxStream<'a, Vec<Result<B, Failure>>>,
    ready: VecDeque<Result<B, Failure>>,
    at: usize,
}

/// Sends many reads in envelopes, some of them at the same time.
pub(crate) fn batch<'a, B: DeserializeOwned + Send + 'a>(
    engine: &'a Engine,
    requests: &'a [Prepared],
) -> Answers<'a, B> {
    batch_by(engine, "batch", requests)
}

/// The same with the envelope that `operation` names: each version of the API has its own.
pub(crate) fn batch_by<'a, B: DeserializeOwned + Send + 'a>(
    engine: &'a Engine,
    operation: &'a str,
    requests: &'a [Prepared],
) -> Answers<'a, B> {
    let envelopes: Vec<BoxFuture<'a, _>> =
        requests.chunks(BATCH).map(|chunk| envelope(engine, operation, chunk).boxed()).collect();
    Answers { envelopes: stream::iter(envelopes).buffered(ENVELOPES).boxed(), ready: VecDeque::new(), at: 0 }
}

impl<B> Answers<'_, B> {
    /// The next answer and the place of its request.
    pub(crate) async fn next(&mut self) -> Option<(usize, Result<B, Failure>)> {
        while self.ready.is_empty() {
            self.ready.extend(self.envelopes.next().await?);
        }
        let answer = self.ready.pop_front()?;
        self.at += 1;
        Some((self.at - 1, answer))
    }
}

/// One envelope, sent again with the reads that were throttled or failed until all are answered or patience ends.
async fn envelope<B: DeserializeOwned + Send>(
    engine: &Engine,
    operation: &str,
    requests: &[Prepared],
) -> Vec<Result<B, Failure>> {
    let mut answers: Vec<Option<Result<B, Failure>>> = requests.iter().map(|_| None).collect();
    let mut attempt = 0;
    loop {
        let open: Vec<usize> = (0..requests.len()).filter(|at| answers[*at].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let outcome = match send(engine, operation, requests, &open, &mut answers).await {
            Ok(Sent::AllAnswered) => continue,
            Ok(Sent::Again(cause, asked)) => engine.wait(cause, asked, attempt).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            answers.iter_mut().filter(|a| a.is_none()).for_each(|a| *a = Some(Err(failure.clone())));
        }
        attempt += 1;
    }
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(Cause::ResponseMalformed.into()))).collect()
}

enum Sent {
    AllAnswered,
    /// Some reads are still open: why, and how long the vendor asked to wait.
    Again(Cause, Option<Duration>),
}

async fn send<B: DeserializeOwned + Send>(
    engine: &Engine,
    operation: &str,
    requests: &[Prepared],
    open: &[usize],
    answers: &mut [Option<Result<B, Failure>>],
) -> Result<Sent, Failure> {
    let inner: Vec<Prepared> = open.iter().map(|at| requests[*at].clone()).collect();
    let outer = engine.guard().batch(operation, &inner).map_err(|refusal| engine.refused(&refusal))?;
    let envelope: Envelope<B> = engine.json(&outer).await?;
    let mut asked: Option<Duration> = None;
    let mut again = vec![false; open.len()];
    // One read that is throttled explains the others that fail.
    let mut cause = Cause::UpstreamUnavailable;
    for part in envelope.responses {
        let Some(place) = part.id.parse::<usize>().ok().filter(|place| *place < open.len()) else { continue };
        let request = &inner[place];
        if part.status == 429 || part.status >= 500 {
            let wait = part.headers.retry_after.and_then(|value| retry_after(&value, Timestamp::now()));
            asked = asked.max(wait);
            again[place] = true;
            if part.status == 429 {
                cause = Cause::RateLimited;
            }
            continue;
        }
        answers[open[place]] = Some(match part.body {
            Body::Good(body) if (200..300).contains(&part.status) => Ok(body),
            _ if (200..300).contains(&part.status) => Err(Cause::ResponseMalformed.into()),
            Body::Error { error } => Err(engine.explain(request, part.status, &error.code)),
            _ => Err(engine.explain(request, part.status, "")),
        });
    }
    // A read that the envelope does not answer at all would be asked for ever.
    for (place, at) in open.iter().enumerate() {
        if answers[*at].is_none() && !again[place] {
            answers[*at] = Some(Err(Cause::ResponseMalformed.into()));
        }
    }
    Ok(if again.contains(&true) { Sent::Again(cause, asked) } else { Sent::AllAnswered })
}

#[cfg(test)]
mod tests;
