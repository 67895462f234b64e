//! `allmende demo`: the main job on a practice host, from nothing to a running service.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::Confirm;
use super::follow::Follower;
use super::plan_view::{show, totals};
use super::style::Style;
use super::{Answer, CliError, do_or_hand_over, lab};
use crate::lab::{Lab, UpOptions};
use crate::model::{Name, Sector, ServiceRef};
use crate::operations::{
    AddHost, AddOrganisation, AddService, ApplyHost, Controller, Operation, OperationError, OwnAccess,
    Setting,
};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Nextcloud's archive, where the official one cannot be fetched
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Version of Nextcloud that the archive holds
    #[arg(long, default_value = "34.0.1", value_name = "VERSION")]
    nextcloud: String,
    #[command(flatten)]
    confirm: Confirm,
}

const ORGANISATION: &str = "kita-sonne";
const HOST: &str = "web1";

/// Runs it, in a data directory of its own beside the person's.
pub async fn run(arguments: &Demo, data_dir: &Path, style: Style) -> Result<Answer, CliError> {
    let data_dir = data_dir.join("demo");
    let heading = |text: &str| println!("\n{}", style.bold(text));
    heading("1. A practice host");
    let lab = Lab::open(lab::folder(&data_dir))?;
    let hosts = lab::ready(&lab, &UpOptions::default(), &arguments.confirm, style).await?;
    let practice = hosts
        .into_iter()
        .next()
        .ok_or_else(|| CliError::Declined("the lab made no host".to_owned()))?;

    heading("2. Allmende learns about a KiTa, its host and its service");
    Controller::init(&data_dir).await?;
    let controller = Controller::open(&data_dir, &[]).await?;
    let organisation: Name = name(ORGANISATION)?;
    let host: Name = name(HOST)?;
    if !controller
        .store
        .organisations()
        .list()
        .await?
        .iter()
        .any(|o| o.name == organisation)
    {
        let add = AddOrganisation {
            short_name: organisation.clone(),
            title: "KiTa Sonne e.V.".to_owned(),
            sector: Sector::Kita,
            place: Some("Kiel".to_owned()),
            contacts: Vec::new(),
        };
        job(&add, &controller, style).await?;
    }
    if !controller
        .store
        .hosts()
        .list()
        .await?
        .iter()
        .any(|known| known.name == host)
    {
        let add = AddHost {
            name: host.clone(),
            organisation: Some(organisation.clone()),
            shared: false,
            address: practice.address.to_string(),
            port: None,
            access: OwnAccess {
                identity: Some(practice.identity.clone()),
                ..OwnAccess::default()
            },
            fingerprint: practice.fingerprint.clone(),
            location: Some("this computer".to_owned()),
            provider: None,
            monthly_cost: None,
        };
        job(&add, &controller, style).await?;
    }
    let service = match controller
        .store
        .services()
        .on_host(&host)
        .await?
        .into_iter()
        .next()
    {
        Some(service) => service.name,
        None => add_service(arguments, &controller, &organisation, &host, style).await?,
    };

    heading("3. The plan: what would change");
    let apply = ApplyHost {
        host,
        services: vec![ServiceRef {
            organisation: Some(organisation),
            service: service.clone(),
        }],
        everything: false,
    };
    let plan = apply.plan(&controller).await?;
    print!("{}", show(&plan, false, style));
    println!("{}", totals(&[&plan.report]));

    heading("4. Apply");
    job(&apply, &controller, style).await?;

    heading("5. Apply again: nothing to change");
    job(&apply, &controller, style).await?;

    heading("There it is");
    println!("  host      {} ({})", practice.address, HOST);
    if let Some(domain) = plan.parts.iter().find_map(|part| part.parameters.get("domain")) {
        println!("  address   https://{domain}/");
        println!(
            "  from here curl --insecure --resolve {domain}:443:{} https://{domain}/",
            practice.address
        );
    }
    let place = data_dir.display();
    println!("\nLook around: allmende --data-dir {place} status");
    println!("The password: allmende --data-dir {place} service secret {service} admin_password");
    println!("Clean up:    allmende --data-dir {place} lab down && rm -r {place}");
    Ok(Answer::Yes)
}

/// Nextcloud, or DokuWiki where its archive is not to be had.
async fn add_service(
    arguments: &Demo,
    controller: &Controller,
    organisation: &Name,
    host: &Name,
    style: Style,
) -> Result<Name, CliError> {
    let setting = |name: &str, value: &str| Setting {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut set = vec![
        setting("domain", "cloud.kita-sonne.test"),
        setting("admin_email", "leitung@kita-sonne.test"),
        setting("version", &arguments.nextcloud),
    ];
    if let Some(archive) = &arguments.archive {
        let path = std::path::absolute(archive).map_err(|source| CliError::File {
            path: archive.clone(),
            source,
        })?;
        set.push(setting("archive", &path.display().to_string()));
    }
    let cloud = AddService {
        name: name("cloud")?,
        organisation: organisation.clone(),
        host: host.clone(),
        template: "nextcloud".to_owned(),
        set,
        secrets: std::collections::BTreeMap::new(),
    };
    if let Err(problem) = cloud.obtain_archives(controller).await {
        println!(
            "{} Nextcloud's archive is not to be had: {problem}",
            style.yellow("!")
        );
        println!("  So this goes on with DokuWiki. With an archive at hand: ./demo --archive FILE");
        let wiki = AddService {
            name: name("wiki")?,
            template: "dokuwiki".to_owned(),
            set: vec![
                setting("domain", "wiki.kita-sonne.test"),
                setting("admin_email", "leitung@kita-sonne.test"),
            ],
            ..cloud
        };
        job(&wiki, controller, style).await?;
        return Ok(wiki.name);
    }
    job(&cloud, controller, style).await?;
    Ok(cloud.name)
}

/// Runs an operation as a job and says what came of it.
pub(super) async fn job<O: Operation>(
    operation: &O,
    controller: &Controller,
    style: Style,
) -> Result<crate::model::Outcome, CliError> {
    let follower = Follower::new(style);
    let finished = do_or_hand_over(operation, controller, &follower).await;
    follower.finish();
    let outcome = finished?;
    println!("{} {}", style.green("✓"), outcome.message);
    Ok(outcome)
}

fn name(text: &str) -> Result<Name, CliError> {
    text.parse()
        .map_err(|error: crate::model::InvalidName| OperationError::Refused(error.to_string()).into())
}
