//! Answers of the administration: a response in, JSON or the sentence of its error out. IO.

use axum::body::Body;
use futures::StreamExt as _;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::connection::ConnectionError;

/// More than any page has.
const LONGEST_LINE: usize = 16 << 20;

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// There was none.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The registry says that it was asked wrongly; this is what it says.
    #[error("{0}")]
    Usage(String),
    /// The registry says no; this is what it says.
    #[error("{0}")]
    Refused(String),
    /// No registry's administration says no without a sentence.
    #[error("what answers with status {0} is no administration of a registry; check --server or --socket")]
    Stranger(StatusCode),
    /// It speaks otherwise.
    #[error(
        "the registry's answer is not understood ({0}): is it of the same version? `portolan-registry --version` tells this one's"
    )]
    Foreign(String),
    /// It broke off.
    #[error(
        "the registry ended the connection before the answer was complete; what it was doing goes on, ask for its status"
    )]
    Cut,
}

/// Reads an answer line by line.
#[derive(Debug)]
pub(super) struct Lines {
    body: axum::body::BodyDataStream,
    buffer: Vec<u8>,
}

impl Lines {
    /// Of an answer that says yes; otherwise its sentence.
    pub(super) async fn of(response: Response<Incoming>) -> Result<Self, AnswerError> {
        let status = response.status();
        let mut lines = Self {
            body: Body::new(response.into_body()).into_data_stream(),
            buffer: Vec::new(),
        };
        if status.is_success() {
            return Ok(lines);
        }
        let text = lines.rest().await?;
        let document: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        let sentence = document
            .as_ref()
            .and_then(|document| document.get("error")?.as_str())
            .map(str::to_owned);
        Err(match (sentence, status) {
            (None, _) => AnswerError::Stranger(status),
            (Some(sentence), StatusCode::BAD_REQUEST) => AnswerError::Usage(sentence),
            (Some(sentence), _) => AnswerError::Refused(sentence),
        })
    }

    /// The next line; none at the end.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, AnswerError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return parse(&line).map(Some);
            }
            match self.body.next().await {
                Some(Ok(bytes)) if self.buffer.len() < LONGEST_LINE => self.buffer.extend_from_slice(&bytes),
                Some(_) => return Err(AnswerError::Cut),
                None => return Ok(None),
            }
        }
    }

    /// The whole answer as one value.
    pub(super) async fn whole<T: DeserializeOwned>(mut self) -> Result<T, AnswerError> {
        parse(&self.rest().await?)
    }

    async fn rest(&mut self) -> Result<Vec<u8>, AnswerError> {
        while let Some(bytes) = self.body.next().await {
            let bytes = bytes.map_err(|_| AnswerError::Cut)?;
            if self.buffer.len() > LONGEST_LINE {
                return Err(AnswerError::Cut);
            }
            self.buffer.extend_from_slice(&bytes);
        }
        Ok(std::mem::take(&mut self.buffer))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(bytes).map_err(|error| AnswerError::Foreign(error.to_string()))
}
