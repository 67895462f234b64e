//! The controller: what operations work with, opened from a data directory.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::database::Database;
use super::{Holder, OperationError};
use crate::catalogue::{Bindings, Care, Catalogue, ServiceTemplate, Surroundings, Wanted};
use crate::fleet::{ControllerKey, ControllerKeys, Line, Session};
use crate::model::{Actor, Host, Name, Organisation, Secret, Service};
use crate::provision::{ArchiveCache, Assembler, BASE, IssuedCertificate, create_authority, settings_for};
use crate::settings::Settings;
use crate::store::{AuditPhase, AuditRecord, AuditVerdict, Store};
use crate::vault::{KEY_FILE, SecretScope, Vault};

/// What the key that starts agents is called in the vault: the controller's for all hosts, and a host's own.
pub(super) const SSH_KEY: &str = "ssh_key";

/// Everything that operations work with.
pub struct Controller {
    /// The inventory, jobs, the audit log.
    pub store: Store,
    /// Secrets.
    pub vault: Vault,
    /// Service templates.
    pub catalogue: Catalogue,
    /// Archives that were fetched.
    pub archives: ArchiveCache,
    /// What a person decided about the program.
    pub settings: Settings,
    /// Where all of it is.
    pub data_dir: PathBuf,
    /// Folders of templates beside those of the settings.
    templates: Vec<PathBuf>,
}

impl Controller {
    /// Makes a data directory with its keys; says whether it did, or they were there already.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn init(data_dir: &Path) -> Result<bool, OperationError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(|error| {
                OperationError::Refused(format!("cannot make {}: {error}", data_dir.display()))
            })?;
        let settings = Settings::load(data_dir)?;
        let key_there = data_dir.join(KEY_FILE).exists();
        let (store, there) = match Database::of(&settings, data_dir)? {
            Database::File(path) => {
                if path.exists() && !key_there {
                    // Never a new key for secrets that only the old one opens.
                    return Self::open(data_dir, &[]).await.map(|_| false);
                }
                let there = path.exists();
                Vault::init(data_dir)?;
                (Store::open(&path).await?, there)
            }
            shared @ Database::Postgres(_) => {
                let store = shared.open().await?;
                let there = Vault::is_in(&store).await?;
                if !there {
                    Vault::init(data_dir)?;
                }
                (store, there)
            }
        };
        let controller = Self::with(store, data_dir, &[]).await?;
        controller.own_key(SSH_KEY).await?;
        controller.authority().await?;
        Ok(!there)
    }

    /// Opens a data directory.
    ///
    /// # Errors
    /// When there is none yet, or something in it cannot be used.
    pub async fn open(data_dir: &Path, templates: &[PathBuf]) -> Result<Self, OperationError> {
        let nothing = |place: &str| {
            OperationError::Refused(format!(
                "there is no data in {place} yet. Begin with: allmende init"
            ))
        };
        let settings = Settings::load(data_dir)?;
        let database = Database::of(&settings, data_dir)?;
        if let Database::File(path) = &database
            && !path.exists()
        {
            return Err(nothing(&data_dir.display().to_string()));
        }
        let store = database.open().await?;
        if matches!(database, Database::Postgres(_)) && !Vault::is_in(&store).await? {
            return Err(nothing(store.place()));
        }
        Self::with(store, data_dir, templates).await
    }

    async fn with(store: Store, data_dir: &Path, templates: &[PathBuf]) -> Result<Self, OperationError> {
        let settings = Settings::load(data_dir)?;
        let folders: Vec<PathBuf> = settings.templates.iter().chain(templates).cloned().collect();
        Ok(Self {
            vault: Vault::open(store.clone(), data_dir).await?,
            store,
            catalogue: Catalogue::load(&folders)?,
            archives: ArchiveCache::new(data_dir.join("archives")),
            settings,
            data_dir: data_dir.to_owned(),
            templates: templates.to_vec(),
        })
    }

    /// The same, with settings and templates as they are by now.
    ///
    /// # Errors
    /// What cannot be used.
    pub async fn refreshed(&self) -> Result<Self, OperationError> {
        Self::with(self.store.clone(), &self.data_dir, &self.templates).await
    }

    /// The servers that run on this data, for people; whoever has work to do can hand it to them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn servers(&self) -> Result<Vec<String>, OperationError> {
        Ok(self.store.servers().running(Holder::is_gone).await?)
    }

    /// Whether a server can do for this process what it was asked for: one runs, and it knows the same templates.
    ///
    /// # Errors
    /// What the store says.
    pub async fn can_hand_over(&self) -> Result<bool, OperationError> {
        Ok(self.templates.is_empty() && !self.servers().await?.is_empty())
    }

    /// The keys with which the controller comes to a host: to its agent with one that was made for it by a rotation, else with
    /// the one for all hosts.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn ssh_keys(&self, host: &Name) -> Result<ControllerKeys, OperationError> {
        let own = self.vault.get(&SecretScope::Host(host.clone()), SSH_KEY).await?;
        Ok(ControllerKeys {
            agent: match own {
                Some(text) => ControllerKey::from_openssh(&text)?,
                None => self.own_key(SSH_KEY).await?,
            },
            jump: self.jump_key().await?,
        })
    }

    /// The key that gets through jump hosts.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn jump_key(&self) -> Result<ControllerKey, OperationError> {
        self.own_key("jump_key").await
    }

    /// A key of the controller's; made when it is asked for the first time.
    async fn own_key(&self, name: &str) -> Result<ControllerKey, OperationError> {
        let make = || Ok::<_, OperationError>(ControllerKey::generate()?.to_openssh()?);
        let text = self
            .vault
            .get_or_create(&SecretScope::Controller, name, make)
            .await?;
        Ok(ControllerKey::from_openssh(&text)?)
    }

    /// What the names of this controller's runs begin with on hosts, which may have several controllers.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn run_prefix(&self) -> Result<String, OperationError> {
        let key = self.own_key(SSH_KEY).await?;
        let hash = Sha256::digest(key.public_key());
        let id: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{id}-"))
    }

    /// The controller's certificate authority; made when it is asked for the first time.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn authority(&self) -> Result<IssuedCertificate, OperationError> {
        let make = || {
            let authority = create_authority(Timestamp::now())?;
            Ok::<_, OperationError>(Secret::new(serde_json::to_string(&authority).unwrap_or_default()))
        };
        let text = self
            .vault
            .get_or_create(&SecretScope::Controller, "authority", make)
            .await?;
        serde_json::from_str(text.reveal()).map_err(|error| {
            OperationError::Refused(format!("the controller's authority cannot be read: {error}"))
        })
    }

    /// A session with a host's agent, which is the one that this controller carries.
    ///
    /// # Errors
    /// What stands in the way to the host.
    pub async fn session(&self, host: &Host) -> Result<Session, OperationError> {
        let keys = self.ssh_keys(&host.name).await?;
        let mut session = Session::connect(host, &keys).await?;
        session.ensure_current().await?;
        Ok(session)
    }

    /// A connection to a host that is kept, for one session after the other.
    ///
    /// # Errors
    /// What stands in the way to the host.
    pub async fn line(&self, host: &Host) -> Result<Line, OperationError> {
        let keys = self.ssh_keys(&host.name).await?;
        Ok(Line::connect(host, &keys).await?)
    }

    /// What assemblies are made with.
    pub fn assembler<'a>(&'a self, authority: &'a IssuedCertificate) -> Assembler<'a> {
        Assembler {
            catalogue: &self.catalogue,
            vault: &self.vault,
            cache: &self.archives,
            authority,
            now: Timestamp::now(),
        }
    }

    /// What a service would want, with stand-ins for its secrets: refuses one that its template would refuse before it is
    /// kept.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn check_requirements(
        &self,
        service: &Service,
        host: &Host,
        organisation: &Organisation,
    ) -> Result<Wanted, OperationError> {
        let template = self.catalogue.get(&service.template)?;
        self.catalogue.with_requirements(&service.template)?;
        let bindings = self.bind_with(service, host, organisation, &stand_ins(template))?;
        if let Some(applied) = &service.applied {
            self.catalogue
                .check_change(template, &applied.parameters, &bindings.parameters)?;
        }
        // First what is wanted: its requirements say better what is wrong than a check that cannot be filled in.
        let wanted = self.catalogue.desired(template, &bindings)?;
        self.catalogue.care(template, &bindings)?;
        Ok(wanted)
    }

    /// What a service's template says about its checks, backup, restore and privacy; secrets are masked.
    ///
    /// # Errors
    /// Why the template refuses the service.
    pub async fn care(&self, service: &Service) -> Result<Care, OperationError> {
        let host = self.store.hosts().get(&service.host).await?;
        let organisation = self.store.organisations().get(&service.organisation).await?;
        self.care_with(service, &host, &organisation)
    }

    /// [`Controller::care`] of a service whose host and organisation are at hand.
    ///
    /// # Errors
    /// Why the template refuses the service.
    pub(super) fn care_with(
        &self,
        service: &Service,
        host: &Host,
        organisation: &Organisation,
    ) -> Result<Care, OperationError> {
        let template = self.catalogue.get(&service.template)?;
        let bindings = self.bind_with(service, host, organisation, &stand_ins(template))?;
        Ok(self.catalogue.care(template, &bindings)?)
    }

    /// What [`BASE`] says about the checks of a host, and about privacy there; secrets are masked.
    ///
    /// # Errors
    /// Why the template refuses the host.
    pub async fn care_of_host(&self, host: &Host) -> Result<Care, OperationError> {
        let organisation = match &host.organisation {
            Some(name) => Some(self.store.organisations().get(name).await?),
            None => None,
        };
        self.care_of_host_with(BASE, host, organisation.as_ref())
    }

    /// What a host-wide template says about a host whose organisation is at hand.
    ///
    /// # Errors
    /// Why the template refuses the host.
    pub(super) fn care_of_host_with(
        &self,
        template: &str,
        host: &Host,
        organisation: Option<&Organisation>,
    ) -> Result<Care, OperationError> {
        let template = self.catalogue.get(template)?;
        let bindings = self.bind_host(template, host, organisation)?;
        Ok(self.catalogue.care(template, &bindings)?)
    }

    /// What a host-wide template wants on a host, with stand-ins for its secrets.
    ///
    /// # Errors
    /// Why the template refuses the host.
    pub(super) fn wanted_on_host(
        &self,
        template: &str,
        host: &Host,
        organisation: Option<&Organisation>,
    ) -> Result<Wanted, OperationError> {
        let template = self.catalogue.get(template)?;
        let bindings = self.bind_host(template, host, organisation)?;
        Ok(self.catalogue.desired(template, &bindings)?)
    }

    /// The variables of a host-wide template, with stand-ins for its secrets.
    fn bind_host(
        &self,
        template: &ServiceTemplate,
        host: &Host,
        organisation: Option<&Organisation>,
    ) -> Result<Bindings, OperationError> {
        let surroundings = Surroundings {
            service: host.name.as_str(),
            instance: host.name.as_str(),
            organisation,
            host: host.name.as_str(),
            address: &host.address,
            ssh_port: host.port,
            facts: &host.facts,
            ca_certificate: "",
        };
        let given = settings_for(template, &host.settings);
        Ok(self
            .catalogue
            .bind(template, &given, &stand_ins(template), &surroundings)?)
    }

    /// The variables of a service that is set up, and its secrets.
    ///
    /// # Errors
    /// Why the template refuses the service, or what the vault says.
    pub async fn bind(
        &self,
        service: &Service,
    ) -> Result<(Bindings, BTreeMap<String, Secret>), OperationError> {
        let template = self.catalogue.get(&service.template)?;
        let host = self.store.hosts().get(&service.host).await?;
        let organisation = self.store.organisations().get(&service.organisation).await?;
        let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
        let mut secrets = stand_ins(template);
        for (name, value) in &mut secrets {
            if let Some(kept) = self.vault.get(&scope, name).await? {
                *value = kept;
            }
        }
        let bindings = self.bind_with(service, &host, &organisation, &secrets)?;
        Ok((bindings, secrets))
    }

    /// A service's variables, with these secrets.
    fn bind_with(
        &self,
        service: &Service,
        host: &Host,
        organisation: &Organisation,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Bindings, OperationError> {
        let surroundings = Surroundings {
            service: service.name.as_str(),
            instance: &service.instance(),
            organisation: Some(organisation),
            host: host.name.as_str(),
            address: &host.address,
            ssh_port: host.port,
            facts: &host.facts,
            ca_certificate: "",
        };
        let template = self.catalogue.get(&service.template)?;
        Ok(self
            .catalogue
            .bind(template, &service.parameters, secrets, &surroundings)?)
    }

    /// Shows a secret to a person; the audit log remembers that, not the secret.
    ///
    /// # Errors
    /// What the vault or the audit log says.
    pub async fn reveal(
        &self,
        actor: &Actor,
        service: &Service,
        name: &str,
    ) -> Result<Option<Secret>, OperationError> {
        let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
        let secret = self.vault.get(&scope, name).await?;
        let parameters = serde_json::json!({ "service": service.full_name(), "secret": name });
        let record = AuditRecord {
            actor: &actor.name,
            operation: "service.secret",
            parameters: &parameters,
            phase: AuditPhase::Succeeded,
            job: None,
            message: &format!("{name} of {} was shown", service.full_name()),
        };
        self.store.audit().append(record).await?;
        Ok(secret)
    }

    /// Proves that nobody changed the audit log.
    ///
    /// # Errors
    /// What the store says.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, OperationError> {
        Ok(self.store.audit().verify().await?)
    }
}

/// Masks in place of a template's secrets, for what is only shown or tried.
fn stand_ins(template: &ServiceTemplate) -> BTreeMap<String, Secret> {
    template
        .manifest
        .params
        .iter()
        .filter(|(_, parameter)| parameter.is_secret())
        .map(|(name, parameter)| {
            (
                name.clone(),
                Secret::new("•".repeat(parameter.generated_length())),
            )
        })
        .collect()
}
