//! Does a page answer, and does it say what it should?

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, LOCATION, USER_AGENT};
use hyper::{Method as Verb, Request, Response};
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use super::way::{Goal, Line};
use super::{Around, Clock, Finding, in_time, tls};
use crate::catalogue::{HttpCheck, JsonExpectation, Method};
use crate::model::Host;

/// How much of a page is looked at, in bytes.
const LOOKED_AT: usize = 256 * 1024;

/// How much the headers may be, in bytes.
const HEADERS: usize = 64 * 1024;

pub(super) async fn ask(
    question: &HttpCheck,
    host: Option<&Host>,
    around: &Around,
) -> Result<Finding, Finding> {
    let clock = Clock::start(question.timeout);
    let url = question
        .address()
        .map_err(|reason| Finding::unknown("outside.http.no_address").with("reason", reason))?;
    // An address without a name was refused above.
    let name = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    let goal = Goal::new(Some(name), port, question.at, host);
    let line = goal.dial(clock, around).await?;
    let page = match url.scheme() {
        "https" => {
            let (line, _) = tls::secure(line, name, question.trust, &goal, clock, around).await?;
            exchange(question, &url, line, &goal, clock).await
        }
        _ => exchange(question, &url, line, &goal, clock).await,
    };
    // What stands behind a question mark may be a key to something.
    let shown = &url[..Position::AfterPath];
    let page = page.map_err(|finding| finding.with("url", shown))?;
    judge(question, &url, &page).map_err(|finding| finding.with("url", shown))?;
    let good = Finding::ok("outside.http.good");
    Ok(in_time(good, clock, question.warning_ms, question.critical_ms)
        .with("url", shown)
        .with("place", shown)
        .with("code", page.code))
}

/// What came back.
struct Page {
    code: u16,
    headers: HeaderMap,
    /// Its beginning.
    body: Vec<u8>,
    /// Whether there was more of it.
    cut: bool,
}

async fn exchange(
    question: &HttpCheck,
    url: &Url,
    line: impl Line,
    goal: &Goal<'_>,
    clock: Clock,
) -> Result<Page, Finding> {
    let request = request(question, url)?;
    let late = || goal.late(clock);
    let talking = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADERS)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(line))
            .await
            .map_err(|error| failed(&error, goal))?;
        // The connection is driven here, not by a task of its own: when this ends, it is closed.
        let driving = async {
            let _ = connection.await;
            std::future::pending().await
        };
        let asking = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| failed(&error, goal))?;
            read(response, goal).await
        };
        tokio::select! {
            page = asking => page,
            () = driving => Err(goal.cut()),
        }
    };
    clock.wait(talking, late).await?
}

fn request(question: &HttpCheck, url: &Url) -> Result<Request<Empty<Bytes>>, Finding> {
    let verb = match question.method {
        Method::Get => Verb::GET,
        Method::Head => Verb::HEAD,
    };
    let agent = concat!("Allmende/", env!("CARGO_PKG_VERSION"), " (health check)");
    Request::builder()
        .method(verb)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, agent)
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::new())
        .map_err(|error| Finding::unknown("outside.http.no_address").with("reason", error))
}

/// The beginning of a page.
async fn read(response: Response<Incoming>, goal: &Goal<'_>) -> Result<Page, Finding> {
    let (head, mut rest) = response.into_parts();
    let mut page = Page {
        code: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        cut: false,
    };
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|error| failed(&error, goal))?;
        let data = frame.into_data().unwrap_or_default();
        let free = LOOKED_AT - page.body.len();
        page.body.extend(data.iter().take(free));
        if data.len() > free || (page.body.len() == LOOKED_AT && !rest.is_end_stream()) {
            page.cut = true;
            break;
        }
    }
    Ok(page)
}

fn failed(error: &hyper::Error, goal: &Goal<'_>) -> Finding {
    if error.is_parse() {
        return Finding::critical("outside.http.no_http").with("place", goal);
    }
    goal.cut()
}

fn judge(question: &HttpCheck, url: &Url, page: &Page) -> Result<(), Finding> {
    if !question.good_codes().contains(&page.code) {
        return Err(wrong_code(url, page));
    }
    if let Some(wanted) = &question.redirect {
        let target = target(url, page).ok_or_else(|| Finding::critical("outside.http.nowhere"))?;
        // The same address may be written with and without its last slash.
        let same = Url::parse(wanted).map_or(target == *wanted, |wanted| wanted.as_str() == target);
        if !same {
            return Err(Finding::critical("outside.http.elsewhere")
                .with("target", without_query(&target))
                .with("wanted", without_query(wanted)));
        }
    }
    for (name, wanted) in &question.headers {
        let said: Vec<&str> = page
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let lower = wanted.to_lowercase();
        if said.is_empty() {
            return Err(Finding::critical("outside.http.no_header").with("header", name));
        }
        if !said.iter().any(|said| said.to_lowercase().contains(&lower)) {
            return Err(Finding::critical("outside.http.header")
                .with("header", name)
                .with("wanted", wanted)
                .with("said", said.join(", ")));
        }
    }
    let text = text(&page.body);
    if let Some(wanted) = &question.contains
        && !text.contains(wanted.as_str())
    {
        return Err(Finding::critical("outside.http.lacks").with("words", wanted));
    }
    if let Some(unwanted) = &question.lacks
        && text.contains(unwanted.as_str())
    {
        return Err(Finding::critical("outside.http.contains").with("words", unwanted));
    }
    match &question.json {
        Some(wanted) => judge_json(wanted, page),
        None => Ok(()),
    }
}

fn judge_json(wanted: &JsonExpectation, page: &Page) -> Result<(), Finding> {
    if page.cut {
        return Err(Finding::unknown("outside.http.json_long").with("limit", LOOKED_AT / 1024));
    }
    let said: serde_json::Value =
        serde_json::from_slice(&page.body).map_err(|_| Finding::critical("outside.http.no_json"))?;
    let Some(value) = said.pointer(&wanted.pointer) else {
        return Err(Finding::critical("outside.http.json_missing").with("pointer", &wanted.pointer));
    };
    if same(value, &wanted.equals) {
        return Ok(());
    }
    Err(Finding::critical("outside.http.json")
        .with("pointer", &wanted.pointer)
        .with("said", value)
        .with("wanted", &wanted.equals))
}

/// Numbers are the same however they are written.
fn same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Another code than a good one, with what it usually means.
fn wrong_code(url: &Url, page: &Page) -> Finding {
    let finding = match page.code {
        300..=399 => match target(url, page) {
            Some(target) => Finding::critical("outside.http.sends_on")
                .with("target", without_query(&target))
                .then("next.sends_on"),
            None => Finding::critical("outside.http.code"),
        },
        401 | 403 => Finding::critical("outside.http.forbidden").then("next.forbidden"),
        404 | 410 => Finding::critical("outside.http.not_found").then("next.not_found"),
        429 => Finding::critical("outside.http.too_often"),
        500 => Finding::critical("outside.http.internal"),
        502 | 504 => Finding::critical("outside.http.gateway"),
        503 => Finding::critical("outside.http.unavailable"),
        _ => Finding::critical("outside.http.code"),
    };
    finding.with("code", page.code)
}

/// Where a page sends people on to.
fn target(url: &Url, page: &Page) -> Option<String> {
    let location = page.headers.get(LOCATION)?.to_str().ok()?;
    Some(url.join(location).ok()?.into())
}

fn without_query(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    address[..end].to_owned()
}

/// A page as text: what is no UTF-8 is taken for Latin-1, as old pages are.
fn text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        // The limit may have cut a letter in two.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(body).into_owned(),
        Err(_) => body.iter().copied().map(char::from).collect(),
    }
}
