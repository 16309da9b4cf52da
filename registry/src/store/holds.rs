//! Holds: while there is one, garbage collection removes nothing. Names come in, files of the volume are what they are
//! kept in, so that a hold outlives the process; IO in blocking threads.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::error::Fault;
use super::links::names_in;
use super::{Inner, Store, blocking};

const LONGEST: usize = 64;

/// Why a hold was not set or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error(
        "\"{name}\" is no name of a hold: write 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
    )]
    Name { name: String },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Lets a new hold wait for what is being removed at the moment.
#[derive(Debug, Default)]
pub(super) struct Holds {
    gate: Arc<RwLock<()>>,
}

impl Holds {
    /// To be kept while something is removed; whether there is a hold is asked after this was taken.
    pub(super) async fn batch(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.gate).read_owned().await
    }
}

impl Store {
    /// Sets a hold; setting it again changes nothing. When this returns, garbage collection removes nothing any more.
    pub async fn hold(&self, name: &str) -> Result<(), HoldError> {
        let name = checked(name)?;
        self.inner
            .changing(move |inner| inner.disk.write_mark(&inner.keys.hold(&name)))
            .await?;
        drop(self.inner.holds.gate.write().await);
        Ok(())
    }

    /// Ends a hold. False: there was none of that name.
    pub async fn release(&self, name: &str) -> Result<bool, HoldError> {
        let name = checked(name)?;
        let remove = move |inner: &Arc<Inner>| inner.disk.remove_file(&inner.keys.hold(&name));
        Ok(self.inner.changing(remove).await?)
    }

    /// The names of all holds, sorted.
    pub async fn holds(&self) -> Result<Vec<String>, Fault> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.hold_names()).await
    }
}

impl Inner {
    /// A hold that is in force.
    pub(super) fn first_hold(&self) -> Result<Option<String>, Fault> {
        Ok(self.hold_names()?.into_iter().next())
    }

    fn hold_names(&self) -> Result<Vec<String>, Fault> {
        let mut names = names_in(&self.keys.holds())?;
        names.sort_unstable();
        Ok(names)
    }
}

fn checked(name: &str) -> Result<String, HoldError> {
    let is_name = name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if is_name {
        Ok(name.to_owned())
    } else {
        Err(HoldError::Name {
            name: name.to_owned(),
        })
    }
}
