//! The catalogue: service templates, read, checked and turned into what a host shall look like.

mod bindings;
mod change;
mod desired;
mod error;
mod lint;
mod parameter;
mod part;
mod render;
mod sections;
mod skeleton;
mod template;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

pub use bindings::{Bindings, Surroundings};
pub use desired::{Wanted, WantedArchive, WantedCertificate, WantedResource, WantedSpec};
pub use error::{CatalogueError, Problem};
pub use lint::lint;
pub use parameter::{Parameter, ParameterType};
pub use sections::{
    Action, ActionCall, ActionRisk, Backup, Care, CertificateCheck, Check, ClockCheck, DateCheck, DiskCheck,
    DnsCheck, Dump, DumpSource, FailedUnitsCheck, FreshnessCheck, HttpCheck, InodesCheck, JsonExpectation,
    LoadCheck, MemoryCheck, Method, OutputKind, PackageUpdateCheck, Place, Question, RebootRequiredCheck,
    RecordType, SecurityUpdatesCheck, SmartCheck, Span, Step, SwapCheck, TcpCheck, TlsCheck, Trust,
    UnitCheck,
};
pub use skeleton::write_skeleton;
pub use template::{FORMAT, Manifest, Scope};

use crate::model::{Parameters, Secret};
use render::Renderer;

/// The templates that come with the program.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/services");

/// One service template with its files.
#[derive(Debug, Clone)]
pub struct ServiceTemplate {
    /// What its `service.toml` says.
    pub manifest: Manifest,
    /// The texts under `files/`, by their path there.
    pub files: BTreeMap<String, String>,
    /// The folder it came from; none for one that comes with the program.
    pub folder: Option<PathBuf>,
}

/// All service templates.
pub struct Catalogue {
    templates: BTreeMap<String, ServiceTemplate>,
    /// Templates that cannot be used, by name, and why: whoever needs one is told, and all others go on.
    broken: BTreeMap<String, Arc<CatalogueError>>,
    renderer: Renderer,
}

impl Catalogue {
    /// The program's own templates, and those in further folders, each of which holds one folder a template. A later folder
    /// wins over an earlier one and over the program.
    ///
    /// A template in them that cannot be used takes nobody's place: see [`Catalogue::broken`].
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn load(folders: &[PathBuf]) -> Result<Self, CatalogueError> {
        let mut found: BTreeMap<String, Result<ServiceTemplate, CatalogueError>> = BTreeMap::new();
        for folder in EMBEDDED.dirs() {
            let template = ServiceTemplate::embedded(folder)?;
            found.insert(template.manifest.name.clone(), Ok(template));
        }
        for folder in folders {
            for entry in read_folder(folder)? {
                if entry.join("service.toml").is_file() {
                    // Whoever wrote a template of this name wants this one, and not another that happens to work.
                    found.insert(folder_name(&entry), ServiceTemplate::load(&entry));
                }
            }
        }
        let mut catalogue = Self {
            templates: BTreeMap::new(),
            broken: BTreeMap::new(),
            renderer: Renderer::new(),
        };
        for (name, template) in found {
            match template {
                Ok(template) => _ = catalogue.templates.insert(name, template),
                Err(error) => _ = catalogue.broken.insert(name, Arc::new(error)),
            }
        }
        let mut composed = BTreeMap::new();
        for (name, template) in &catalogue.templates {
            match catalogue.composed(template) {
                Ok(template) => _ = composed.insert(name.clone(), template),
                Err(error) => _ = catalogue.broken.insert(name.clone(), Arc::new(error)),
            }
        }
        catalogue.templates = composed;
        Ok(catalogue)
    }

    /// Adds a template with all that it includes; it wins over one of the same name.
    ///
    /// # Errors
    /// Something that it includes and cannot.
    pub fn insert(&mut self, template: &ServiceTemplate) -> Result<(), CatalogueError> {
        let template = self.composed(template)?;
        self.broken.remove(&template.manifest.name);
        self.templates.insert(template.manifest.name.clone(), template);
        Ok(())
    }

    /// Templates that cannot be used, by name, and why.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &CatalogueError)> {
        self.broken.iter().map(|(name, error)| (name.as_str(), &**error))
    }

    /// All templates that can be used, by name.
    pub fn all(&self) -> impl Iterator<Item = &ServiceTemplate> {
        self.templates.values()
    }

    /// The template with this name.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] with the names there are; what is wrong with it where it cannot be used.
    pub fn get(&self, name: &str) -> Result<&ServiceTemplate, CatalogueError> {
        if let Some(error) = self.broken.get(name) {
            return Err(CatalogueError::Unusable(Arc::clone(error)));
        }
        self.templates.get(name).ok_or_else(|| CatalogueError::Unknown {
            name: name.to_owned(),
            known: self.templates.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// A template and before it all that it requires, each once.
    ///
    /// # Errors
    /// An unknown name, or templates that require each other in a circle.
    pub fn with_requirements(&self, name: &str) -> Result<Vec<&ServiceTemplate>, CatalogueError> {
        let mut order = Vec::new();
        self.visit(name, &mut Vec::new(), &mut order)?;
        Ok(order)
    }

    fn visit<'a>(
        &'a self,
        name: &str,
        open: &mut Vec<String>,
        order: &mut Vec<&'a ServiceTemplate>,
    ) -> Result<(), CatalogueError> {
        let template = self.get(name).map_err(|error| match (open.last(), error) {
            (Some(asker), error) => CatalogueError::Template {
                template: asker.clone(),
                problem: Problem::new(error.to_string()).inside("requires"),
            },
            (None, error) => error,
        })?;
        if open.iter().any(|open| open == name) {
            return Err(CatalogueError::Template {
                template: name.to_owned(),
                problem: Problem::new(format!("a circle: {} → {name}", open.join(" → "))).inside("requires"),
            });
        }
        if order.iter().any(|done| done.manifest.name == name) {
            return Ok(());
        }
        open.push(name.to_owned());
        for required in &template.manifest.requires {
            self.visit(required, open, order)?;
        }
        open.pop();
        order.push(template);
        Ok(())
    }

    /// Works out every variable of a template; see [`Bindings`].
    ///
    /// # Errors
    /// What is wrong with the given values or with the template.
    pub fn bind(
        &self,
        template: &ServiceTemplate,
        given: &Parameters,
        secrets: &BTreeMap<String, Secret>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Bindings, CatalogueError> {
        bindings::bind(&self.renderer, &template.manifest, given, secrets, surroundings)
    }

    /// What a bound template wants from its host.
    ///
    /// # Errors
    /// A requirement that does not hold, or a fault of the template.
    pub fn desired(&self, template: &ServiceTemplate, bindings: &Bindings) -> Result<Wanted, CatalogueError> {
        desired::desired(&self.renderer, template, bindings)
    }

    /// What a bound template says about checks, backup, restore and privacy.
    ///
    /// # Errors
    /// What is wrong with these sections.
    pub fn care(&self, template: &ServiceTemplate, bindings: &Bindings) -> Result<Care, CatalogueError> {
        sections::care(&self.renderer, &template.manifest, bindings)
            .map_err(|problem| template.broken(problem))
    }

    /// What one of its actions would run with these values.
    ///
    /// # Errors
    /// An unknown action, what is wrong with the given values, or with the template.
    pub fn call(
        &self,
        template: &ServiceTemplate,
        bindings: &Bindings,
        action: &str,
        given: &Parameters,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<ActionCall, CatalogueError> {
        let definition = template.action(action)?;
        let broken = |problem: Problem| template.broken(problem.inside(action).inside("actions"));
        let variables = bindings::bind_action(
            &self.renderer,
            action,
            definition,
            given,
            secrets,
            bindings,
            broken,
        )?;
        definition.call(&self.renderer, &variables).map_err(broken)
    }

    /// Refuses a change that the template does not allow to a service that is set up: of the version, or of what is fixed.
    ///
    /// # Errors
    /// Why it is refused, and what to do instead.
    pub fn check_change(
        &self,
        template: &ServiceTemplate,
        from: &Parameters,
        to: &Parameters,
    ) -> Result<(), CatalogueError> {
        change::check(&template.manifest, from, to)
    }
}

impl ServiceTemplate {
    /// Reads a template from its folder.
    ///
    /// # Errors
    /// What cannot be read or parsed.
    pub fn load(folder: &Path) -> Result<Self, CatalogueError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| CatalogueError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        let manifest = parse(&folder_name(folder), &read(&folder.join("service.toml"))?)?;
        let mut files = BTreeMap::new();
        let root = folder.join("files");
        let mut open = if root.is_dir() {
            vec![root.clone()]
        } else {
            Vec::new()
        };
        while let Some(folder) = open.pop() {
            for path in read_folder(&folder)? {
                if path.is_dir() {
                    open.push(path);
                } else if let Ok(name) = path.strip_prefix(&root) {
                    files.insert(name.to_string_lossy().into_owned(), read(&path)?);
                }
            }
        }
        Ok(Self {
            manifest,
            files,
            folder: Some(folder.to_owned()),
        })
    }

    /// Checks values that were given for parameters, as far as that is possible without a host.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check_given(&self, given: &Parameters) -> Result<(), CatalogueError> {
        bindings::check_given(&self.manifest, given)
    }

    /// The action with this name.
    ///
    /// # Errors
    /// [`CatalogueError::UnknownAction`] with the names there are.
    pub fn action(&self, name: &str) -> Result<&Action, CatalogueError> {
        let actions = &self.manifest.actions;
        actions.get(name).ok_or_else(|| CatalogueError::UnknownAction {
            template: self.manifest.name.clone(),
            name: name.to_owned(),
            known: actions.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// Its author has to mend this.
    fn broken(&self, problem: Problem) -> CatalogueError {
        CatalogueError::Template {
            template: self.manifest.name.clone(),
            problem,
        }
    }

    fn embedded(folder: &Dir<'_>) -> Result<Self, CatalogueError> {
        let name = folder.path().to_string_lossy().into_owned();
        let broken = |problem| CatalogueError::Template {
            template: name.clone(),
            problem,
        };
        let text = |file: &include_dir::File<'_>| {
            file.contents_utf8()
                .map(str::to_owned)
                .ok_or_else(|| broken(Problem::new(format!("{} is no text", file.path().display()))))
        };
        let source = folder
            .get_file(folder.path().join("service.toml"))
            .ok_or_else(|| broken(Problem::new("there is no service.toml")))?;
        let manifest = parse(&name, &text(source)?)?;
        let root = folder.path().join("files");
        let mut files = BTreeMap::new();
        let mut open: Vec<&Dir<'_>> = folder.get_dir(&root).into_iter().collect();
        while let Some(folder) = open.pop() {
            open.extend(folder.dirs());
            for file in folder.files() {
                if let Ok(name) = file.path().strip_prefix(&root) {
                    files.insert(name.to_string_lossy().into_owned(), text(file)?);
                }
            }
        }
        Ok(Self {
            manifest,
            files,
            folder: None,
        })
    }
}

fn parse(folder: &str, text: &str) -> Result<Manifest, CatalogueError> {
    let broken = |problem: String| CatalogueError::Template {
        template: folder.to_owned(),
        problem: Problem::new(problem).inside("service.toml"),
    };
    let manifest: Manifest = toml::from_str(text).map_err(|error| broken(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(broken(format!(
            "it has format {}, this program reads format {FORMAT}: {}",
            manifest.format,
            if manifest.format > FORMAT {
                "update Allmende"
            } else {
                "bring the template up to date"
            }
        )));
    }
    if manifest.name != folder {
        return Err(broken(format!(
            "it is named {:?}, but its folder is named {folder:?}",
            manifest.name
        )));
    }
    Ok(manifest)
}

/// The name of a template that lies in this folder.
fn folder_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn read_folder(folder: &Path) -> Result<Vec<PathBuf>, CatalogueError> {
    let unreadable = |source| CatalogueError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut paths = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
