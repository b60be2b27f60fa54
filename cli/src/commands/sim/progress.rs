//! How far a run is: a bar on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use peerage_sim::metrics::Sample;

use super::setup::Setup;

pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(json: bool, setup: &Setup) -> Self {
        if json {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template("{prefix} [{bar:32}] {percent:>3} %  {msg}")
            .expect("because the template is a constant that was tried")
            .progress_chars("=> ");
        let bar = ProgressBar::new(setup.span().as_secs().max(1)).with_style(style);
        Self { bar: bar.with_prefix(setup.scenario.clone()) }
    }

    pub(super) fn show(&self, sample: &Sample, took: Duration) {
        let real = took.as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (virtual_time, events) = (sample.seconds as f64, sample.events as f64);
        self.bar.set_position(sample.seconds);
        self.bar.set_message(format!(
            "virtual {virtual_time:.0} s, real {real:.0} s, {:.0} times as fast; {:.0} events/s; {} nodes",
            virtual_time / real,
            events / real,
            sample.nodes
        ));
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
