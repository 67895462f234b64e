//! One round: all questions of an inquiry, some at a time, each with a time of its own, the whole within a deadline.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{Asked, Finding, Inquiry, Observation, Observations, Scene};
use crate::engine::Asker;
use crate::layout::Layout;
use crate::names::{self, Verdict};
use crate::protocol::{Refusal, RefusalKind};

/// Questions that are looked at at once: most wait for a disk or for a program.
const AT_ONCE: usize = 4;

/// Programs are ended by their own timeout; only what hangs in the kernel is given up after this much more.
const GRACE: Duration = Duration::from_secs(12);

/// What the threads of a round share.
struct Round {
    scene: Scene,
    questions: Vec<Asked>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The first question that nobody has begun.
    next: usize,
    /// What is being looked at, and until when it may take.
    under_way: Vec<(usize, Instant)>,
    /// Nothing more is begun.
    over: bool,
}

/// Looks at everything that is asked for.
pub(crate) fn observe(
    layout: &Layout,
    inquiry: Inquiry,
    asker: &Arc<dyn Asker>,
) -> Result<Observations, Refusal> {
    check(&inquiry).map_err(|message| Refusal {
        kind: RefusalKind::Invalid,
        message,
    })?;
    let began_ms = now_ms();
    let deadline = Instant::now() + Duration::from_secs(inquiry.deadline);
    let scene = Scene::new(layout.clone(), Arc::clone(asker), &inquiry.questions, deadline);
    let round = Arc::new(Round {
        scene,
        questions: inquiry.questions,
        progress: Mutex::default(),
    });
    // By the deadline itself all programs are ended, and their findings come.
    let findings = collect(&round, deadline + GRACE);
    let found = round.questions.iter().zip(findings);
    Ok(Observations {
        began_ms,
        found: found
            .map(|(asked, finding)| Observation {
                id: asked.id.clone(),
                finding: finding.unwrap_or_else(|| {
                    Err(format!(
                        "the time for all questions was over ({} seconds)",
                        inquiry.deadline
                    ))
                }),
            })
            .collect(),
        ended_ms: now_ms(),
    })
}

fn check(inquiry: &Inquiry) -> Verdict {
    if inquiry.questions.len() > Inquiry::LARGEST {
        return Err(format!(
            "at most {} questions can be asked at once",
            Inquiry::LARGEST
        ));
    }
    if !(1..=600).contains(&inquiry.deadline) {
        return Err("a deadline is between one second and ten minutes".to_owned());
    }
    let mut ids = std::collections::BTreeSet::new();
    for asked in &inquiry.questions {
        names::id(&asked.id)?;
        if !ids.insert(&asked.id) {
            return Err(format!("two questions are called {:?}", asked.id));
        }
        let verdict = asked.question.observer().check();
        verdict.map_err(|problem| format!("{}: {problem}", asked.id))?;
    }
    Ok(())
}

/// Waits until each question has its finding or is given up.
fn collect(round: &Arc<Round>, deadline: Instant) -> Vec<Option<Result<Finding, String>>> {
    let mut findings = vec![None; round.questions.len()];
    let (sender, receiver) = channel();
    for _ in 0..AT_ONCE.min(findings.len()) {
        start(round, deadline, &sender);
    }
    let mut missing = findings.len();
    while missing > 0 {
        let now = Instant::now();
        let wait = round.patience(deadline).saturating_duration_since(now);
        match receiver.recv_timeout(wait) {
            Ok((index, finding)) => {
                if let Some(place @ None) = findings.get_mut(index) {
                    *place = Some(finding);
                    missing -= 1;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break,
            Err(RecvTimeoutError::Timeout) => {
                for index in round.given_up() {
                    if let Some(place @ None) = findings.get_mut(index) {
                        *place = Some(Err("it took too long and was given up".to_owned()));
                        missing -= 1;
                        // Its thread may hang for ever; another one takes its place.
                        start(round, deadline, &sender);
                    }
                }
            }
        }
    }
    round.progress().over = true;
    findings
}

type Told = Sender<(usize, Result<Finding, String>)>;

/// A thread that looks at one question after the other. Without threads the round looks itself.
fn start(round: &Arc<Round>, deadline: Instant, told: &Told) {
    let (other, sender) = (Arc::clone(round), told.clone());
    let started = thread::Builder::new()
        .name("observe".to_owned())
        .spawn(move || other.work(deadline, &sender));
    if started.is_err() {
        round.work(deadline, told);
    }
}

impl Round {
    fn work(&self, deadline: Instant, told: &Told) {
        while let Some((index, asked)) = self.begin(deadline) {
            let finding = asked.question.observer().observe(&self.scene);
            self.progress().under_way.retain(|(other, _)| *other != index);
            if told.send((index, finding)).is_err() {
                return;
            }
        }
    }

    fn begin(&self, deadline: Instant) -> Option<(usize, &Asked)> {
        let mut progress = self.progress();
        let index = progress.next;
        let asked = self.questions.get(index)?;
        if progress.over || Instant::now() >= deadline {
            return None;
        }
        progress.next += 1;
        let until = Instant::now() + asked.question.observer().patience() + GRACE;
        progress.under_way.push((index, until));
        Some((index, asked))
    }

    /// Until when nothing has to be given up.
    fn patience(&self, deadline: Instant) -> Instant {
        let progress = self.progress();
        let untils = progress.under_way.iter().map(|(_, until)| *until);
        untils.fold(deadline, Instant::min)
    }

    /// What takes too long; it counts as under way no more.
    fn given_up(&self) -> Vec<usize> {
        let now = Instant::now();
        let mut progress = self.progress();
        let late = progress.under_way.extract_if(.., |(_, until)| *until <= now);
        late.map(|(index, _)| index).collect()
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
