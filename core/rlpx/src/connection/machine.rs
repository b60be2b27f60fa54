//! A connection driven as a [`Machine`], on top of its direct calls.

use peerage_machine::{Instant, Machine, Now};

use super::{Connection, Event, Input, Output, SendError, State};
use crate::{Fault, PeerMisbehaved, Waiting};

impl Connection {
    fn on_event(&mut self, event: Event, payload: &mut Vec<u8>) {
        self.outputs.push_back(match event {
            Event::Closed { fault } => Output::Closed { fault },
            Event::Identified { key } => Output::Identified { key },
            Event::Message { shared, code } => {
                Output::Message { shared, code, payload: std::mem::take(payload) }
            }
            Event::Ready { hello } => Output::Ready { hello },
        });
    }
}

impl Machine for Connection {
    type Input<'a> = Input<'a>;
    type Output = Output;

    /// # Panics
    ///
    /// Where the direct calls do, and if a message is to be sent that no frame or no shared
    /// capability has room for.
    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        let mut payload = Vec::new();
        match input {
            Input::Admit => self.admit(now),
            Input::Bytes(mut bytes) => {
                while let Some(event) = self.receive(now, &mut bytes, &mut payload) {
                    self.on_event(event, &mut payload);
                }
            }
            Input::Disconnect(reason) => self.disconnect(now, reason),
            Input::Eof => {
                if let Some(event) = self.receive_eof(now) {
                    self.on_event(event, &mut payload);
                }
            }
            Input::Send { shared, code, payload } => match self.send(now, shared, code, payload) {
                Ok(()) | Err(SendError::NotOpen) => {}
                Err(misuse) => panic!("{misuse}"),
            },
            Input::Written(n) => self.written(now, n),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let timeouts = &self.config.timeouts;
        if let State::Closing { deadline, .. } = &self.state {
            if *deadline <= now.mono {
                self.finish();
            }
            return;
        }
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now.mono);
        let timed_out = if passed(self.handshake_deadline()) {
            Some((timeouts.handshake, Waiting::Handshaking))
        } else if passed(self.idle_deadline()) {
            Some((timeouts.idle, Waiting::Idle))
        } else if passed(self.write_deadline()) {
            Some((timeouts.write, Waiting::Writing))
        } else {
            None
        };
        if let Some((after, waiting)) = timed_out {
            self.end(now, Fault::PeerMisbehaved(PeerMisbehaved::TimedOut(after, waiting)));
        } else if let State::Open(open) = &mut self.state
            && open.pulse.ping_is_due(now.mono, timeouts)
        {
            open.ping(now, &mut self.out);
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        if let Some(event) = self.poll_event() {
            self.on_event(event, &mut Vec::new());
        }
        self.outputs.pop_front().or_else(|| self.out.hand_out().map(Output::Write))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if let State::Closing { deadline, .. } = &self.state {
            return Some(*deadline);
        }
        let ping = match &self.state {
            State::Open(open) => Some(open.pulse.next_ping()),
            _ => None,
        };
        [self.handshake_deadline(), self.idle_deadline(), self.write_deadline(), ping]
            .into_iter()
            .flatten()
            .min()
    }
}
