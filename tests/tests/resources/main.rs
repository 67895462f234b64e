//! Every kind of resource: brought about once, kept, repaired when somebody changed it by hand; and refused when it makes no
//! sense.

mod archives;
mod drifts;
mod everything;
mod refusals;
mod refused;

use allmende_tests::Finished;

#[test]
fn every_resource_is_made_kept_and_repaired_on_debian_12() {
    everything::everything("12");
}

#[test]
fn every_resource_is_made_kept_and_repaired_on_debian_13() {
    everything::everything("13");
}

#[test]
fn what_cannot_be_done_is_refused_in_one_error_and_the_mended_template_ends_well() {
    refused::all_are_refused();
}

/// Whether it failed with one error that says these words.
fn is_one_error(finished: &Finished, words: &str) -> bool {
    finished.code == Some(1)
        && finished.stderr.matches("Error:").count() == 1
        && finished.stderr.contains(words)
        && !finished.said().contains("panicked")
}
