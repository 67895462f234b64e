//! What programs on this machine may ask: `/healthz` whether the server is well, `/metrics` its figures for Prometheus.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::log;
use super::stop::Stop;
use crate::model::JobState;
use crate::operations::{Controller, OperationError};

/// The media type of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers until the server stops.
pub async fn answer(controller: Arc<Controller>, listener: TcpListener, stop: Stop) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(controller);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.stopping().await });
    if let Err(error) = served.await {
        log(&format!("cannot answer any more: {error}"));
    }
}

/// `ok` while the store answers.
async fn healthz(State(controller): State<Arc<Controller>>) -> impl IntoResponse {
    match controller.store.jobs().count(JobState::Running).await {
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn metrics(State(controller): State<Arc<Controller>>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, METRICS)];
    match figures(&controller).await {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            content_type,
            format!("# {error}\n"),
        ),
    }
}

async fn figures(controller: &Controller) -> Result<String, OperationError> {
    let mut text = String::new();
    let version = env!("CARGO_PKG_VERSION");
    gauge(
        &mut text,
        "allmende_build_info",
        "The version that runs.",
        &[(format!("{{version=\"{version}\"}}"), 1)],
    );
    let mut jobs = Vec::new();
    for state in [JobState::Queued, JobState::Running, JobState::Interrupted] {
        let count = controller.store.jobs().count(state).await?;
        jobs.push((format!("{{state=\"{state}\"}}"), count));
    }
    gauge(
        &mut text,
        "allmende_jobs",
        "Jobs that have not come to an end.",
        &jobs,
    );
    let servers = i64::try_from(controller.servers().await?.len()).unwrap_or(i64::MAX);
    gauge(
        &mut text,
        "allmende_servers",
        "Servers that run on this data.",
        &[(String::new(), servers)],
    );
    Ok(text)
}

/// A metric with its samples: labels and value.
fn gauge(text: &mut String, name: &str, help: &str, samples: &[(String, i64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
