//! `allmende notify`.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::arguments::{Json, ask_secret};
use super::organisation::Changing;
use super::style::Style;
use super::{Answer, CliError, carry_out, perform, print_json, table};
use crate::model::{Delivery, DeliveryState, Name, Way};
use crate::notify::needs_secret;
use crate::operations::{
    AddChannel, AddPerson, AddRule, Controller, EditChannel, EditPerson, Operation, RemoveChannel,
    RemovePerson, RemoveRule, TestChannel,
};

/// What can be asked about telling people.
#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Channels: mail, web hooks, ntfy, Matrix
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// People who are told
    #[command(subcommand)]
    Person(PersonCommand),
    /// Rules: who is told of what
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Sends somebody a test, and says what the other side said
    #[command(after_help = "Examples:\n  allmende notify test mail --to anna")]
    Test(Changing<TestChannel>),
    /// Lists what went out, the newest last
    Log(Log),
}

/// What can be asked about channels.
#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// Adds a channel; a password or token is asked for, or read from standard input
    #[command(after_help = "Examples:
  allmende notify channel add mail --smtp smtp.example.org:587 --from allmende@example.org --user allmende
  allmende notify channel add ntfy
  allmende notify channel add matrix --url https://matrix.example.org
  allmende notify channel add webhook --url https://example.org/allmende")]
    Add(Box<AddWithSecret>),
    /// Lists all channels, and how they are
    List(Json),
    /// Shows a channel
    Show(ShowChannel),
    /// Changes a channel
    #[command(after_help = "Examples:
  allmende notify channel edit mail --smtp mail.example.org
  allmende notify channel edit mail --secret")]
    Edit(Box<EditWithSecret>),
    /// Removes a channel that no rule needs any more
    Remove(Changing<RemoveChannel>),
}

/// A new channel, and whether it gets a secret that it could do without.
#[derive(Debug, Args)]
pub struct AddWithSecret {
    #[command(flatten)]
    change: Changing<AddChannel>,
    /// Asks for an access token (ntfy), or for a signing key of your own (web hook)
    #[arg(long)]
    secret: bool,
}

/// A changed channel, and whether it gets another secret.
#[derive(Debug, Args)]
pub struct EditWithSecret {
    #[command(flatten)]
    change: Changing<EditChannel>,
    /// Asks for a new password, token or key
    #[arg(long)]
    secret: bool,
}

/// Which channel.
#[derive(Debug, Args)]
pub struct ShowChannel {
    /// Its short name
    name: Name,
    #[command(flatten)]
    json: Json,
}

/// What can be asked about people.
#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Adds somebody who is told
    #[command(after_help = "Examples:
  allmende notify person add anna --contact-of kita-sonne --quiet 22:00-07:00
  allmende notify person add bea --name \"Bea Beispiel\" --mail bea@example.org --language en --second")]
    Add(Box<Changing<AddPerson>>),
    /// Lists all people who are told
    List(Json),
    /// Changes what is known about a person
    Edit(Box<Changing<EditPerson>>),
    /// Removes a person whom no rule needs any more
    Remove(Changing<RemovePerson>),
}

/// What can be asked about rules.
#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// Adds a rule: who is told of what
    #[command(after_help = "Examples:
  allmende notify rule add --org kita-sonne --person anna
  allmende notify rule add --person bea --channel ntfy --from critical --remind 1
  allmende notify rule add --org kita-sonne --person anna --from nothing --digest")]
    Add(Changing<AddRule>),
    /// Lists all rules
    List(Json),
    /// Removes a rule
    Remove(Changing<RemoveRule>),
}

/// How much of the log.
#[derive(Debug, Args)]
pub struct Log {
    /// How many messages
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &NotifyCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        NotifyCommand::Channel(command) => channel(command, controller, style).await,
        NotifyCommand::Person(command) => person(command, controller, style).await,
        NotifyCommand::Rule(command) => rule(command, controller, style).await,
        NotifyCommand::Test(test) => perform(&test.operation, controller, &test.confirm, style).await,
        NotifyCommand::Log(log) => {
            let mut deliveries = controller.store.notifications().deliveries(log.limit).await?;
            deliveries.reverse();
            if log.json.json {
                print_json(&deliveries);
            } else {
                let head = ["WHEN", "WHAT", "TO", "BY", "STATE", "ABOUT"];
                println!("{}", table(head, deliveries.iter().map(log_row)));
            }
            Ok(Answer::Yes)
        }
    }
}

fn log_row(delivery: &Delivery) -> Vec<String> {
    let at = delivery.sent_at.unwrap_or(delivery.created_at);
    let state = match (&delivery.answer, delivery.state) {
        (Some(answer), state) if state != DeliveryState::Sent => format!("{state}: {answer}"),
        (_, state) => state.to_string(),
    };
    vec![
        at.to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        delivery.kind.to_string(),
        delivery.person.to_string(),
        delivery.channel.to_string(),
        state,
        delivery.about.join(", "),
    ]
}

async fn channel(
    command: &ChannelCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        ChannelCommand::Add(add) => {
            let mut operation = add.change.operation.clone();
            let channel = operation.channel()?;
            let generated = matches!(channel.way, Way::Webhook { .. });
            if !add.change.confirm.dry_run && (add.secret || (needs_secret(&channel) && !generated)) {
                operation.secret = Some(ask_secret(&secret_of(&channel.way))?);
            }
            let outcome = carry_out(
                &operation,
                AddChannel::RISK,
                controller,
                &add.change.confirm,
                style,
            )
            .await?;
            if let Some(outcome) = outcome {
                println!("{}", outcome.message);
                if let Some(key) = outcome.answer.as_str() {
                    println!("It signs with this key, which is shown only now:\n  {key}");
                }
            }
            Ok(Answer::Yes)
        }
        ChannelCommand::Edit(edit) => {
            let mut operation = edit.change.operation.clone();
            if edit.secret && !edit.change.confirm.dry_run {
                let (channel, _) = controller
                    .store
                    .notifications()
                    .channel(&operation.short_name)
                    .await?;
                operation.new_secret = Some(ask_secret(&secret_of(&channel.way))?);
            }
            perform(&operation, controller, &edit.change.confirm, style).await
        }
        ChannelCommand::Remove(remove) => {
            perform(&remove.operation, controller, &remove.confirm, style).await
        }
        ChannelCommand::List(json) => {
            let all = controller.store.notifications().channels().await?;
            if json.json {
                let all: Vec<_> = all
                    .iter()
                    .map(|(channel, health)| serde_json::json!({ "channel": channel, "health": health }))
                    .collect();
                print_json(&all);
            } else {
                let rows = all.iter().map(|(channel, health)| {
                    vec![
                        channel.name.to_string(),
                        channel.way.kind().to_string(),
                        channel.way.other_side(),
                        match health.failing_since {
                            Some(since) => format!("failing since {}", local(since)),
                            None => "ok".to_owned(),
                        },
                    ]
                });
                println!("{}", table(["NAME", "KIND", "TO", "STATE"], rows));
            }
            Ok(Answer::Yes)
        }
        ChannelCommand::Show(show) => {
            let (channel, health) = controller.store.notifications().channel(&show.name).await?;
            if show.json.json {
                print_json(&serde_json::json!({ "channel": channel, "health": health }));
                return Ok(Answer::Yes);
            }
            println!(
                "{} ({})",
                style.bold(&channel.name.to_string()),
                channel.way.kind()
            );
            match &channel.way {
                Way::Mail {
                    server,
                    encryption,
                    from,
                    user,
                    ca,
                } => {
                    println!("  server    {server} ({encryption})");
                    println!("  from      {from}");
                    println!("  user      {}", user.as_deref().unwrap_or("none"));
                    if ca.is_some() {
                        println!("  trusts    certificates of its own");
                    }
                }
                Way::Webhook { url } | Way::Ntfy { url } | Way::Matrix { url } => {
                    println!("  address   {url}")
                }
            }
            match health.failing_since {
                Some(since) => println!("  state     {} since {}", style.red("failing"), local(since)),
                None => println!("  state     ok"),
            }
            if let Some(error) = &health.last_error {
                println!("  last error  {error}");
            }
            if let Some(at) = health.last_ok_at {
                println!("  last good   {}", local(at));
            }
            Ok(Answer::Yes)
        }
    }
}

async fn person(command: &PersonCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        PersonCommand::Add(add) => perform(&add.operation, controller, &add.confirm, style).await,
        PersonCommand::Edit(edit) => perform(&edit.operation, controller, &edit.confirm, style).await,
        PersonCommand::Remove(remove) => perform(&remove.operation, controller, &remove.confirm, style).await,
        PersonCommand::List(json) => {
            let all = controller.store.notifications().people().await?;
            if json.json {
                print_json(&all);
            } else {
                let rows = all.iter().map(|person| {
                    let ways = [&person.mail, &person.ntfy, &person.matrix];
                    vec![
                        person.name.to_string(),
                        person.title.clone(),
                        person.language.to_string(),
                        ways.into_iter().flatten().cloned().collect::<Vec<_>>().join(", "),
                        person.quiet.map(|quiet| quiet.to_string()).unwrap_or_default(),
                        if person.second { "yes" } else { "" }.to_owned(),
                    ]
                });
                println!(
                    "{}",
                    table(
                        ["NAME", "PERSON", "LANGUAGE", "REACHED BY", "QUIET", "SECOND"],
                        rows
                    )
                );
            }
            Ok(Answer::Yes)
        }
    }
}

async fn rule(command: &RuleCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        RuleCommand::Add(add) => perform(&add.operation, controller, &add.confirm, style).await,
        RuleCommand::Remove(remove) => perform(&remove.operation, controller, &remove.confirm, style).await,
        RuleCommand::List(json) => {
            let all = controller.store.notifications().rules().await?;
            if json.json {
                print_json(&all);
            } else {
                let rows = all.iter().map(|rule| {
                    vec![
                        rule.id.to_string(),
                        rule.organisation
                            .as_ref()
                            .map_or("all".to_owned(), Name::to_string),
                        rule.person.to_string(),
                        rule.channel.to_string(),
                        rule.from.to_string(),
                        if rule.delay > 0 {
                            format!("{} min", rule.delay / 60)
                        } else {
                            String::new()
                        },
                        rule.remind
                            .map(|seconds| format!("{} h", seconds / 3600))
                            .unwrap_or_default(),
                        if rule.digest { "weekly" } else { "" }.to_owned(),
                    ]
                });
                let head = [
                    "RULE",
                    "OF",
                    "PERSON",
                    "BY",
                    "FROM",
                    "DELAY",
                    "AGAIN AFTER",
                    "DIGEST",
                ];
                println!("{}", table(head, rows));
            }
            Ok(Answer::Yes)
        }
    }
}

fn local(at: jiff::Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// What the secret of a channel is called.
fn secret_of(way: &Way) -> String {
    match way {
        Way::Mail { server, user, .. } => {
            format!(
                "Password of {} at {server}",
                user.as_deref().unwrap_or("the account")
            )
        }
        Way::Webhook { .. } => "Key for signing, at least 8 characters".to_owned(),
        Way::Ntfy { .. } => format!("Access token at {}", way.other_side()),
        Way::Matrix { .. } => format!("Access token at {}", way.other_side()),
    }
}
