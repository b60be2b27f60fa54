//! Questions that both versions are asked: the first answer counts, and there is none when both
//! have none.

use std::collections::BTreeMap;

use peerage_machine::tree_memory;

use super::Output;
use crate::QueryId;

/// How far such questions are: as many as the driver asks.
#[derive(Debug, Default)]
pub(super) struct Joint(BTreeMap<QueryId, Asked>);

/// How far one is.
///
/// ```text
///           an answer                 another
///   Both ---------------> Answered -------------> over
///     |    none                         an answer, or none
///     +--------> One ---------------------------> over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Neither version has answered.
    Both,
    /// One has no answer, and the other is still asked.
    One,
    /// The answer was given, and the other version is still asked.
    Answered,
}

impl Joint {
    /// Both versions are asked.
    pub(super) fn begin(&mut self, id: QueryId) {
        self.0.insert(id, Asked::Both);
    }

    /// Whether the driver is to be told.
    pub(super) fn lets_pass(&mut self, output: &Output) -> bool {
        let (id, has_answer) = match output {
            Output::Record { id, record } => (id, record.is_some()),
            Output::Resolved { id, node } => (id, node.is_some()),
            _ => return true,
        };
        let Some(asked) = self.0.get_mut(id) else { return true };
        match asked {
            Asked::Both => {
                *asked = if has_answer { Asked::Answered } else { Asked::One };
                has_answer
            }
            Asked::One => {
                self.0.remove(id);
                true
            }
            Asked::Answered => {
                self.0.remove(id);
                false
            }
        }
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        Self::memory_bound(self.0.len())
    }

    /// The most bytes held with so many questions.
    pub(super) const fn memory_bound(commands: usize) -> usize {
        tree_memory::<QueryId, Asked>(commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::nodes;

    fn answer(id: u64, is_some: bool) -> Output {
        let node = nodes(1).pop().filter(|_| is_some);
        Output::Resolved { id: QueryId(id), node }
    }

    #[test]
    fn the_first_answer_counts_and_none_is_told_once() {
        for (first, second, told) in [
            (true, true, [true, false]),
            (true, false, [true, false]),
            (false, true, [false, true]),
            (false, false, [false, true]),
        ] {
            let mut joint = Joint::default();
            joint.begin(QueryId(1));
            assert!(joint.lets_pass(&answer(2, false)), "of another question");
            let passed = [first, second].map(|it| joint.lets_pass(&answer(1, it)));
            assert_eq!(passed, told, "{first} {second}");
            assert_eq!(joint.memory(), 0);
        }
    }
}
