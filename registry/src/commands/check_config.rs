//! `check-config`: a file in, one sentence out. IO (reads only).

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use portolan_config::Config;

use crate::error_chain;
use crate::files::{self, FileProblem};

/// Reads the configuration, and with `and_files` what it names; returns the sentence for when all is well.
pub fn run(path: &Path, and_files: bool, now: Timestamp) -> anyhow::Result<String> {
    let config = files::read_config(path)?;
    let path = path.display();
    if !and_files {
        return Ok(format!("{path} can be used"));
    }
    let doubt = read_named_files(&config, now).with_context(|| format!("file \"{path}\""))?;
    let doubt = doubt.map_or_else(String::new, |doubt| format!("; but {}", error_chain(&doubt)));
    Ok(format!("{path} and the files that it names can be used{doubt}"))
}

/// Returns what clients would not like about the certificate: it can be served all the same.
fn read_named_files(config: &Config, now: Timestamp) -> Result<Option<FileProblem>, FileProblem> {
    let mut doubt = None;
    if let Some(tls) = &config.http.tls {
        let unfit = files::read_server_tls(tls)?.unfit(now, &config.http.hosts);
        doubt = unfit.map(|error| files::server_tls_problem(tls, error));
    }
    if let Some(admin) = &config.admin {
        files::read_admin_tls(&admin.tls)?;
    }
    if let Some(auth) = &config.auth {
        files::read_users("auth.usersFile", &auth.users_file)?;
        if let Some(token) = &auth.token {
            files::read_token_keys("auth.token.keysDirectory", &token.keys_directory)?;
        }
    }
    Ok(doubt)
}
