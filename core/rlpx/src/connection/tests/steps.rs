//! Steps of a handshake that are run elsewhere, for as long as that takes.

#![expect(clippy::disallowed_methods, reason = "a test moves a value to another thread and back")]

use std::time::Duration;

use peerage_machine::Now;

use super::pair::{Pair, Side, config, end_of, key, local, timed_out};
use crate::*;

/// An initiator whose first step nobody has run, and a step.
fn calling() -> (Connection, Step) {
    let role = Role::Initiator { remote: *key(2).public() };
    let mut connection = Connection::new(config(1, &[]), role, Now::default(), [1; 32]);
    let step = take(&mut connection);
    (connection, step)
}

fn take(connection: &mut Connection) -> Step {
    match connection.poll_event() {
        Some(Event::Step(step)) => step,
        other => panic!("{other:?} in place of a step"),
    }
}

/// A recipient that has a whole auth, and the step that reads it.
fn called() -> (Connection, Step) {
    let (mut initiator, step) = calling();
    initiator.handle_step(Now::default(), step.run());
    let mut auth = initiator.outgoing().to_vec();
    let mut connection = Connection::new(config(2, &[]), Role::Recipient, Now::default(), [2; 32]);
    let mut payload = Vec::new();
    let prefix = connection.receive(Now::default(), &mut &mut auth[..2], &mut payload);
    assert!(prefix.is_none());
    match connection.receive(Now::default(), &mut &mut auth[2..], &mut payload) {
        Some(Event::Step(step)) => (connection, step),
        other => panic!("{other:?} in place of a step"),
    }
}

#[test]
fn a_connection_stands_still_while_a_step_is_away() {
    for (mut connection, step) in [calling(), called()] {
        assert_eq!(connection.read_budget(), 0);
        assert!(connection.outgoing().is_empty());
        assert!(connection.poll_event().is_none(), "a step is told once");
        connection.admit(Now::default());
        assert!(connection.outgoing().is_empty(), "there is nobody to be admitted");
        connection.handle_step(Now::default(), step.run());
        assert!(!connection.outgoing().is_empty());
    }
}

#[test]
fn steps_may_be_run_on_another_thread() {
    let (mut initiator, step) = calling();
    let result = std::thread::scope(|scope| scope.spawn(|| step.run()).join().unwrap());
    initiator.handle_step(Now::default(), result);
    assert!(!initiator.outgoing().is_empty());
    fn sendable<T: Send + 'static>() {}
    sendable::<Step>();
    sendable::<StepResult>();
}

#[test]
fn the_deadline_holds_while_a_step_is_away_and_a_late_result_changes_nothing() {
    for (mut connection, step) in [calling(), called()] {
        let late = Now::default().later(Duration::from_secs(10));
        assert_eq!(connection.poll_timeout(), Some(late.mono));
        connection.handle_timeout(late);
        assert_eq!(end_of(connection.poll_event()), timed_out(10, Waiting::Handshaking));
        connection.handle_step(late, step.run());
        assert!(connection.poll_event().is_none());
        assert!(connection.is_closed() && connection.outgoing().is_empty());
    }
}

#[test]
fn a_connection_may_end_while_a_step_is_away() {
    for (mut connection, step) in [calling(), called()] {
        let remote = connection.remote().copied();
        connection.disconnect(Now::default(), DisconnectReason::ClientQuitting);
        let fault = end_of(connection.poll_event());
        assert_eq!(fault, local(DisconnectReason::ClientQuitting));
        connection.handle_step(Now::default(), step.run());
        assert!(connection.poll_event().is_none());
        assert_eq!(connection.remote().copied(), remote);
    }
}

#[test]
fn a_result_that_nobody_waits_for_changes_nothing() {
    let (_, step) = calling();
    let mut pair = Pair::open();
    pair.a.connection.handle_step(pair.now, step.run());
    assert!(pair.a.connection.is_open());
    let (_, step) = calling();
    let mut listening = Side::new(config(2, &[]), Role::Recipient, 1);
    listening.connection.handle_step(pair.now, step.run());
    assert_eq!(listening.connection.read_budget(), 2);
    assert!(listening.connection.outgoing().is_empty());
}
