//! Runs again, and comparisons: where two traces part.

use std::{collections::VecDeque, path::PathBuf};

use clap::Args;

use super::{
    SimError,
    progress::Progress,
    trace::{TraceReader, last_line},
};
use crate::{failure::Failure, output};

/// How many lines before a difference are shown.
const CONTEXT: usize = 5;

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// What `--trace` has written.
    trace: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Diff {
    /// One trace.
    one: PathBuf,
    /// Another one.
    other: PathBuf,
}

impl Replay {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut file = TraceReader::open(&self.trace)?;
        let setup = file.setup.clone();
        let mut run = setup.begin().ok_or_else(|| SimError::NoTrace(self.trace.clone()))??;
        run.world_mut().trace_mut().record();
        let progress = Progress::new(false, &setup);
        let began = std::time::Instant::now();
        let mut compare = Compare::default();
        loop {
            let advanced = run.advance();
            for line in run.world_mut().trace_mut().take_lines() {
                compare.lines(file.next()?, Some(line))?;
            }
            match advanced {
                Ok(Some(sample)) => progress.show(&sample, began.elapsed()),
                Ok(None) => break,
                Err(violation) => {
                    output::text(&format!("the rule is broken again: {violation}\n"))?;
                    break;
                }
            }
        }
        progress.end();
        let last = last_line(&run);
        compare.lines(file.next()?, Some(last.clone()))?;
        compare.lines(file.next()?, None)?;
        output::text(&format!("the same again: {last}\n"))?;
        Ok(())
    }
}

impl Diff {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (mut one, mut other) = (TraceReader::open(&self.one)?, TraceReader::open(&self.other)?);
        if one.setup != other.setup {
            output::text(&format!("one:   {}\nother: {}\n", one.setup, other.setup))?;
        }
        let mut compare = Compare::default();
        loop {
            let (a, b) = (one.next()?, other.next()?);
            let is_end = a.is_none() && b.is_none();
            compare.lines(a, b)?;
            if is_end {
                break;
            }
        }
        output::text(&format!("the same: {} lines\n", compare.line))?;
        Ok(())
    }
}

/// Compares line by line, and remembers the last few.
#[derive(Default)]
struct Compare {
    line: usize,
    last: VecDeque<String>,
}

impl Compare {
    fn lines(&mut self, one: Option<String>, other: Option<String>) -> Result<(), SimError> {
        if one != other {
            // The header is the first line.
            let line = self.line + 2;
            let context = self.last.iter().map(|line| format!("    {line}\n")).collect();
            return Err(SimError::Differs { line, context, one, other });
        }
        if let Some(line) = one {
            self.line += 1;
            self.last.push_back(line);
            if self.last.len() > CONTEXT {
                self.last.pop_front();
            }
        }
        Ok(())
    }
}
