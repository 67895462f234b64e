//! `allmende job`.

use clap::{Args, Subcommand};

use super::arguments::{Json, actor};
use super::follow::Follower;
use super::follow_job::{Interrupt, follow_job};
use super::style::Style;
use super::words::local_time;
use super::{Answer, CliError, print_json, table};
use crate::model::{Job, JobId, JobState};
use crate::operations::{Controller, Observer, cancel_job, retry_job};
use crate::store::Cancelled;

/// What can be asked about jobs.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Lists the newest jobs
    List(List),
    /// Shows a job with everything that happened
    Show(Show),
    /// Shows what happens in a job until it has ended; Ctrl-C ends looking on, not the job
    Follow(Which),
    /// Ends a job: one that waits at once, one that runs as soon as its host has finished what it has in hand
    Cancel(Which),
    /// Asks once more for what a job did not bring to a good end; a server does it
    Retry(Which),
}

/// A job.
#[derive(Debug, Args)]
pub struct Which {
    /// Its number
    id: JobId,
}

/// Arguments of `job list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `job show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Its number
    id: JobId,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &JobCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        JobCommand::List(List { limit, json }) => {
            let jobs = controller.store.jobs().list(*limit).await?;
            if json.json {
                print_json(&jobs);
            } else {
                let rows = jobs.iter().map(|job| {
                    vec![
                        job.id.to_string(),
                        job.title.clone(),
                        job.actor.clone(),
                        local_time(job.created_at),
                        duration(job),
                        state(job.state, style),
                    ]
                });
                println!("{}", table(["JOB", "WHAT", "WHO", "WHEN", "TOOK", "STATE"], rows));
            }
        }
        JobCommand::Show(Show { id, json }) => {
            let job = controller.store.jobs().get(*id).await?;
            let events = controller.store.jobs().events(*id, 0).await?;
            if json.json {
                print_json(&serde_json::json!({ "job": job, "events": events }));
                return Ok(Answer::Yes);
            }
            println!("{}", style.bold(&format!("Job {}: {}", job.id, job.title)));
            println!("  asked by  {} at {}", job.actor, local_time(job.created_at));
            println!("  state     {} {}", state(job.state, style), duration(&job));
            if let Some(outcome) = &job.outcome {
                println!("  outcome   {}", outcome.message);
            }
            let follower = Follower::of_the_past(style);
            for event in &events {
                follower.event(event);
            }
            follower.finish();
        }
        JobCommand::Follow(Which { id }) => {
            let follower = Follower::new(style);
            let ended = follow_job(controller, &actor(), *id, Interrupt::Leaves, &follower).await;
            follower.finish();
            let outcome = ended?;
            println!("{}", outcome.message);
        }
        JobCommand::Cancel(Which { id }) => match cancel_job(controller, &actor(), *id).await? {
            Cancelled::Asked => println!("Job {id} was told. See how it ends with: allmende job follow {id}"),
            _ => println!("Job {id} will not be done."),
        },
        JobCommand::Retry(Which { id }) => {
            let new = retry_job(controller, &actor(), *id).await?;
            println!("Job {new} does it. Look on with: allmende job follow {new}");
        }
    }
    Ok(Answer::Yes)
}

fn duration(job: &Job) -> String {
    match (job.started_at, job.ended_at) {
        (Some(start), Some(end)) => {
            format!("{:.1} s", (end - start).total(jiff::Unit::Second).unwrap_or(0.0))
        }
        _ => String::new(),
    }
}

/// The word for a state, painted.
pub fn state(state: JobState, style: Style) -> String {
    match state {
        JobState::Succeeded => style.green(state.as_str()),
        JobState::Failed | JobState::Interrupted => style.red(state.as_str()),
        JobState::Queued | JobState::Running | JobState::Cancelled => style.yellow(state.as_str()),
    }
}
