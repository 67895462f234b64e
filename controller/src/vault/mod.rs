//! The vault: secrets, encrypted with keys of their organisation, which are encrypted with a key that lies outside the
//! database. `docs/vault.md` documents the format.

mod cipher;
mod error;
mod export_key;
mod key_file;
mod master_key;
mod password;
mod sealed_file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::model::{Name, Secret};
use crate::store::{Seal, Store};
use cipher::Cipher;

pub use error::VaultError;
pub use export_key::ExportKey;
pub use master_key::FILE as KEY_FILE;
pub use password::{generate_on_paper, generate_password};
pub use sealed_file::{OpeningReader, SealedFileError, SealingWriter};

/// The shortest secret, in characters.
const SHORTEST: usize = 8;

/// Whose secret it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretScope {
    /// The controller's own: its SSH key, its certificate authority.
    Controller,
    /// A host's: the controller's own key for it, and what host-wide templates want.
    Host(Name),
    /// A service's: organisation and name. Encrypted with the organisation's key.
    Service(Name, Name),
    /// An organisation's, for its repositories. They stay when a service or the organisation goes, as its backups do.
    Backups(Name),
}

impl SecretScope {
    /// The owner of the data key: an organisation can be handed over, or forgotten, without the others.
    fn owner(&self) -> String {
        match self {
            Self::Controller | Self::Host(_) => "controller".to_owned(),
            Self::Service(organisation, _) => format!("organisation {organisation}"),
            Self::Backups(organisation) => format!("backups {organisation}"),
        }
    }

    /// The organisation with which the data key goes.
    fn organisation(&self) -> Option<&Name> {
        match self {
            Self::Controller | Self::Host(_) | Self::Backups(_) => None,
            Self::Service(organisation, _) => Some(organisation),
        }
    }

    /// What all names of the scope's secrets begin with.
    fn prefix(&self) -> String {
        match self {
            Self::Controller => "controller/".to_owned(),
            Self::Host(host) => format!("host {host}/"),
            Self::Service(_, service) => format!("service {service}/"),
            Self::Backups(_) => "backups/".to_owned(),
        }
    }
}

impl fmt::Display for SecretScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("controller"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Service(organisation, service) => write!(f, "service {organisation}/{service}"),
            Self::Backups(organisation) => write!(f, "backups of {organisation}"),
        }
    }
}

/// Secrets, open for use.
pub struct Vault {
    store: Store,
    master: Cipher,
}

/// Authenticates the end of the audit log with the master key.
struct AuditSeal(Cipher);

impl Seal for AuditSeal {
    fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        // Without randomness there is no seal, and `verify` says so.
        self.0.encrypt("audit", bytes).unwrap_or_default()
    }

    fn fits(&self, bytes: &[u8], seal: &[u8]) -> bool {
        self.0
            .decrypt("audit", seal)
            .is_ok_and(|sealed| sealed.as_slice() == bytes)
    }
}

impl Vault {
    /// Makes the master key of a new data directory; an existing one stays.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn init(data_dir: &Path) -> Result<(), VaultError> {
        master_key::create(data_dir)
    }

    /// The key file of a data directory, as text; also where systemd guards the key.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn key_file(data_dir: &Path) -> Result<Secret, VaultError> {
        master_key::text(data_dir)
    }

    /// Whether the key in such a text fits a database whose controller has this sealed data key.
    pub fn fits(key_file: &Secret, sealed: &[u8]) -> bool {
        key_file::parse(key_file.reveal())
            .is_some_and(|key| Cipher::new(&key).decrypt("controller", sealed).is_ok())
    }

    /// Whether a database has a vault already, to which a key belongs.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_in(store: &Store) -> Result<bool, VaultError> {
        Ok(store.secrets().key("controller").await?.is_some())
    }

    /// Opens the vault of a data directory, and lets the store seal its audit log.
    ///
    /// # Errors
    /// See [`VaultError`]: a missing key, one that others may read, one that does not fit the database.
    pub async fn open(store: Store, data_dir: &Path) -> Result<Self, VaultError> {
        let master = master_key::load(data_dir)?;
        store.set_seal(Box::new(AuditSeal(Cipher::new(&master))));
        let vault = Self {
            store,
            master: Cipher::new(&master),
        };
        if let Some(known) = vault.store.secrets().key("controller").await? {
            vault
                .master
                .decrypt("controller", &known.sealed)
                .map_err(|_| VaultError::WrongKey)?;
        }
        Ok(vault)
    }

    /// The secret with this name, if there is one.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn get(&self, scope: &SecretScope, name: &str) -> Result<Option<Secret>, VaultError> {
        let owner = scope.owner();
        let Some(key) = self.store.secrets().key(&owner).await? else {
            return Ok(None);
        };
        let cipher = self.data_cipher(&owner, &key.sealed)?;
        let full = full_name(scope, name);
        match self.store.secrets().get(key.id, &full).await? {
            Some(sealed) => Ok(Some(reveal(&cipher, &owner, &full, &sealed)?)),
            None => Ok(None),
        }
    }

    /// Keeps a secret, in the place of one with the same name.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn put(&self, scope: &SecretScope, name: &str, secret: &Secret) -> Result<(), VaultError> {
        let owner = scope.owner();
        check(secret)?;
        let (id, cipher) = self.key(scope, &owner).await?;
        let full = full_name(scope, name);
        let sealed = cipher.encrypt(&bound(&owner, &full), secret.reveal().as_bytes())?;
        self.store.secrets().put(id, &full, &sealed).await?;
        Ok(())
    }

    /// The secret with this name; made and kept if there is none.
    ///
    /// # Errors
    /// See [`VaultError`], and whatever stood in the way of making it.
    pub async fn get_or_create<E: From<VaultError>>(
        &self,
        scope: &SecretScope,
        name: &str,
        make: impl FnOnce() -> Result<Secret, E>,
    ) -> Result<Secret, E> {
        if let Some(secret) = self.get(scope, name).await? {
            return Ok(secret);
        }
        let secret = make()?;
        check(&secret)?;
        let owner = scope.owner();
        let (id, cipher) = self.key(scope, &owner).await?;
        let full = full_name(scope, name);
        let sealed = cipher.encrypt(&bound(&owner, &full), secret.reveal().as_bytes())?;
        // Two processes may come here at once: both use what the first one kept.
        let kept = self
            .store
            .secrets()
            .get_or_put(id, &full, &sealed)
            .await
            .map_err(VaultError::from)?;
        Ok(reveal(&cipher, &owner, &full, &kept)?)
    }

    /// All secrets of a scope, by name.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn all(&self, scope: &SecretScope) -> Result<BTreeMap<String, Secret>, VaultError> {
        let mut secrets = BTreeMap::new();
        let Some(key) = self.store.secrets().key(&scope.owner()).await? else {
            return Ok(secrets);
        };
        for full in self.store.secrets().names(key.id).await? {
            if let Some(name) = full.strip_prefix(&scope.prefix())
                && let Some(secret) = self.get(scope, name).await?
            {
                secrets.insert(name.to_owned(), secret);
            }
        }
        Ok(secrets)
    }

    /// Forgets a secret, if there is one.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn remove(&self, scope: &SecretScope, name: &str) -> Result<(), VaultError> {
        if let Some(key) = self.store.secrets().key(&scope.owner()).await? {
            self.store
                .secrets()
                .remove(key.id, &full_name(scope, name))
                .await?;
        }
        Ok(())
    }

    /// Forgets all secrets of a scope.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn remove_scope(&self, scope: &SecretScope) -> Result<(), VaultError> {
        let Some(key) = self.store.secrets().key(&scope.owner()).await? else {
            return Ok(());
        };
        for name in self.store.secrets().names(key.id).await? {
            if name.starts_with(&scope.prefix()) {
                self.store.secrets().remove(key.id, &name).await?;
            }
        }
        Ok(())
    }

    /// The data key of a scope's owner; made if there is none.
    async fn key(&self, scope: &SecretScope, owner: &str) -> Result<(i64, Cipher), VaultError> {
        let key = match self.store.secrets().key(owner).await? {
            Some(key) => key,
            None => {
                let fresh = cipher::random_key()?;
                let sealed = self.master.encrypt(owner, fresh.as_slice())?;
                self.store
                    .secrets()
                    .key_or_add(owner, scope.organisation(), &sealed)
                    .await?
            }
        };
        Ok((key.id, self.data_cipher(owner, &key.sealed)?))
    }

    fn data_cipher(&self, owner: &str, sealed: &[u8]) -> Result<Cipher, VaultError> {
        let key = self
            .master
            .decrypt(owner, sealed)
            .map_err(|_| VaultError::WrongKey)?;
        let key: &[u8; cipher::KEY] = key.as_slice().try_into().map_err(|_| VaultError::WrongKey)?;
        Ok(Cipher::new(key))
    }
}

fn check(secret: &Secret) -> Result<(), VaultError> {
    if secret.reveal().chars().count() < SHORTEST {
        return Err(VaultError::TooShort { shortest: SHORTEST });
    }
    Ok(())
}

fn full_name(scope: &SecretScope, name: &str) -> String {
    format!("{}{name}", scope.prefix())
}

/// What an encrypted secret is bound to: moved to another name or owner, it does not open.
fn bound(owner: &str, full_name: &str) -> String {
    format!("{owner}\n{full_name}")
}

fn reveal(cipher: &Cipher, owner: &str, full_name: &str, sealed: &[u8]) -> Result<Secret, VaultError> {
    let damaged = || VaultError::Damaged {
        name: full_name.to_owned(),
    };
    let bytes = cipher
        .decrypt(&bound(owner, full_name), sealed)
        .map_err(|_| damaged())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
