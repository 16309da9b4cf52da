//! `check-config`: a file in, one sentence out. IO (reads only).

use std::path::Path;

use portolan_config::Config;

use crate::files::{self, FileProblem};

/// Reads the configuration, and with `and_files` what it names; returns the sentence for when all is well.
pub fn run(path: &Path, and_files: bool) -> Result<String, FileProblem> {
    let config = files::read_config(path)?;
    if !and_files {
        return Ok(format!("{} can be used", path.display()));
    }
    read_named_files(&config)?;
    Ok(format!(
        "{} and the files that it names can be used",
        path.display()
    ))
}

fn read_named_files(config: &Config) -> Result<(), FileProblem> {
    if let Some(tls) = &config.http.tls {
        files::read_tls(&tls.certificate_file, &tls.key_file, None)?;
    }
    if let Some(admin) = &config.admin {
        files::read_tls(
            &admin.tls.certificate_file,
            &admin.tls.key_file,
            Some(&admin.tls.client_ca_file),
        )?;
    }
    if let Some(auth) = &config.auth {
        files::read_users(&auth.users_file)?;
        if let Some(token) = &auth.token {
            files::read_token_keys(&token.keys_directory)?;
        }
    }
    Ok(())
}
