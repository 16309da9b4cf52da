//! What the operator asked the API server for, from the throwaway cluster's audit log.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cluster::{Cluster, Place};

/// The operator's user.
pub const OPERATOR: &str = "system:serviceaccount:portolan-system:portolan-operator";

/// The audit log of the API server.
#[derive(Debug)]
pub struct AuditLog {
    file: PathBuf,
}

/// One finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: String,
    pub path: String,
    pub resource: String,
    pub status: u64,
    /// Whether a role was missing: an admission plugin refuses with the same status.
    pub is_forbidden: bool,
}

impl AuditLog {
    pub fn of(cluster: &Cluster) -> Result<AuditLog> {
        match &cluster.place {
            Place::Inside { directory } => Ok(AuditLog {
                file: directory.join("log/audit.log"),
            }),
            Place::Current { .. } => bail!("the audit log of a cluster that is not ours is out of reach"),
        }
    }

    /// Where the log ends now.
    pub fn end(&self) -> Result<usize> {
        let size = std::fs::metadata(&self.file)
            .with_context(|| format!("no audit log {}", self.file.display()))?
            .len();
        Ok(usize::try_from(size)?)
    }

    /// The requests of `user` that are told after `start`, as [`AuditLog::end`] gave it (0 is all).
    pub fn requests_of(&self, user: &str, start: usize) -> Result<Vec<Request>> {
        let log =
            std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let text = String::from_utf8_lossy(log.get(start..).context("the audit log has been cut short")?);
        requests_in(&text, user)
    }
}

fn requests_in(log: &str, user: &str) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    // The last line may be half written.
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value =
            serde_json::from_str(line).with_context(|| format!("not an audit event: {line}"))?;
        if event["user"]["username"].as_str() != Some(user)
            || event["stage"].as_str() == Some("ResponseStarted")
        {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        requests.push(Request {
            verb: text(&event["verb"]),
            path: text(&event["requestURI"]),
            resource: text(&event["objectRef"]["resource"]),
            status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            is_forbidden: event["annotations"]["authorization.k8s.io/decision"].as_str() == Some("forbid"),
        });
    }
    Ok(requests)
}

impl Request {
    /// Keeping a watch open and holding the Lease is what a leader does all day.
    pub fn is_idle(&self) -> bool {
        self.verb == "watch" || self.resource == "leases"
    }
}

#[cfg(test)]
mod tests {
    use super::requests_in;

    #[test]
    fn requests_of_others_and_half_written_lines_are_left_out() {
        let log = concat!(
            r#"{"stage":"ResponseComplete","verb":"get","requestURI":"/a","user":{"username":"us"},"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}"#,
            "\n",
            r#"{"stage":"ResponseComplete","verb":"get","requestURI":"/b","user":{"username":"them"}}"#,
            "\n",
            r#"{"stage":"Respo"#,
        );
        let requests = requests_in(log, "us").unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!((requests[0].path.as_str(), requests[0].status), ("/a", 200));
        assert!(!requests[0].is_idle());
    }

    #[test]
    fn only_what_the_authorizer_refused_is_forbidden() {
        let event = |decision: &str| {
            format!(
                r#"{{"user":{{"username":"us"}},"responseStatus":{{"code":403}},"annotations":{{"authorization.k8s.io/decision":"{decision}"}}}}"#
            )
        };
        let log = format!("{}\n{}\n", event("allow"), event("forbid"));
        let forbidden: Vec<_> = requests_in(&log, "us")
            .unwrap()
            .iter()
            .map(|request| (request.status, request.is_forbidden))
            .collect();
        assert_eq!(forbidden, [(403, false), (403, true)]);
    }

    #[test]
    fn watches_and_the_lease_are_idle() {
        let log = concat!(
            r#"{"stage":"ResponseComplete","verb":"watch","user":{"username":"us"},"objectRef":{"resource":"pods"}}"#,
            "\n",
            r#"{"stage":"ResponseComplete","verb":"update","user":{"username":"us"},"objectRef":{"resource":"leases"}}"#,
            "\n",
        );
        assert!(
            requests_in(log, "us")
                .unwrap()
                .iter()
                .all(super::Request::is_idle)
        );
    }
}
