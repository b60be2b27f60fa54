//! When the tasks of hosts are to be woken.
//!
//! Most alarms are moved before they ring, as a timeout is by every answer. So they are kept apart
//! from the hosts: to see that one has been moved, nothing of a host has to be touched.

use std::collections::BTreeMap;

use peerage_machine::Instant;

use super::HostId;

/// The alarms of all hosts, one a task.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Vec<BTreeMap<u64, Alarm>>);

#[derive(Clone, Copy, Debug)]
struct Alarm {
    due: Instant,
    /// The time of the event in the queue that looks at the alarm: no later than it is due.
    planned: Instant,
}

/// What comes of an event that looks at an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    /// It is another event that counts, or none.
    Silent,
    /// The alarm has been moved: an event has to be planned for then.
    Later(Instant),
    /// The task is to be woken, and its alarm is gone.
    Now,
}

impl Alarms {
    /// Has a task woken at `due` and at no other time. Whether an event has to be planned for then.
    #[must_use]
    pub(crate) fn set(&mut self, host: HostId, task: u64, due: Instant) -> bool {
        if self.0.len() <= host.index() {
            self.0.resize_with(host.index() + 1, BTreeMap::new);
        }
        match self.0[host.index()].get_mut(&task) {
            Some(alarm) => {
                alarm.due = due;
                let is_sooner = due < alarm.planned;
                alarm.planned = alarm.planned.min(due);
                is_sooner
            }
            None => {
                self.0[host.index()].insert(task, Alarm { due, planned: due });
                true
            }
        }
    }

    /// When a task is to be woken.
    pub(crate) fn due(&self, host: HostId, task: u64) -> Option<Instant> {
        self.0.get(host.index())?.get(&task).map(|alarm| alarm.due)
    }

    /// A task is not to be woken.
    pub(crate) fn cancel(&mut self, host: HostId, task: u64) {
        if let Some(alarms) = self.0.get_mut(host.index()) {
            alarms.remove(&task);
        }
    }

    /// No task of a host is to be woken.
    pub(crate) fn clear(&mut self, host: HostId) {
        if let Some(alarms) = self.0.get_mut(host.index()) {
            alarms.clear();
        }
    }

    /// An event looks at an alarm.
    pub(crate) fn ring(&mut self, host: HostId, task: u64, at: Instant) -> Ring {
        let Some(alarms) = self.0.get_mut(host.index()) else { return Ring::Silent };
        match alarms.get_mut(&task) {
            Some(alarm) if alarm.planned == at && alarm.due > at => {
                alarm.planned = alarm.due;
                Ring::Later(alarm.due)
            }
            Some(alarm) if alarm.planned == at => {
                alarms.remove(&task);
                Ring::Now
            }
            _ => Ring::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostId = HostId(1);
    const TASK: u64 = 7;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn an_alarm_rings_once_at_the_last_time_it_was_set_to() {
        let mut alarms = Alarms::default();
        assert!(alarms.set(HOST, TASK, at(5)));
        // Later: the event that is planned looks again. Sooner: another one has to.
        assert!(!alarms.set(HOST, TASK, at(9)));
        assert_eq!(alarms.ring(HOST, TASK, at(5)), Ring::Later(at(9)));
        assert!(alarms.set(HOST, TASK, at(7)));
        assert_eq!(alarms.due(HOST, TASK), Some(at(7)));
        assert_eq!(alarms.ring(HOST, TASK, at(7)), Ring::Now);
        assert_eq!(alarms.due(HOST, TASK), None);
        assert_eq!(alarms.ring(HOST, TASK, at(9)), Ring::Silent);
    }

    #[test]
    fn an_alarm_that_is_cancelled_does_not_ring_and_one_set_anew_does() {
        let mut alarms = Alarms::default();
        assert!(alarms.set(HOST, TASK, at(5)));
        alarms.cancel(HOST, TASK);
        assert_eq!(alarms.ring(HOST, TASK, at(5)), Ring::Silent);
        assert!(alarms.set(HOST, TASK, at(6)));
        alarms.clear(HOST);
        assert!(alarms.set(HOST, TASK, at(8)));
        assert_eq!(alarms.ring(HOST, TASK, at(6)), Ring::Silent);
        assert_eq!(alarms.ring(HOST, TASK, at(8)), Ring::Now);
    }
}
