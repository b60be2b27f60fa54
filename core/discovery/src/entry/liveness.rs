//! Whether a node has answered where it is, and whether it is being asked.

/// How far the checks of a node at its present endpoint have come.
///
/// ```text
///            begin               answer            begin
///  Unproved -------> FirstCheck --------> Proved --------> NextCheck
///      ^                 |                  ^                 |
///      +------ fail -----+                  +- answer or fail +
/// ```
///
/// A failure costs credit, and without any the node leaves the table; that is for the
/// [`Entry`](crate::Entry) to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// It has not answered here, and is not being asked.
    Unproved,
    /// It has not answered here yet, and is being asked.
    FirstCheck,
    /// It has answered here.
    Proved,
    /// It has answered here, and is being asked again.
    NextCheck,
}

impl Liveness {
    /// A check begins; `None` if one is under way.
    pub(super) const fn begin(self) -> Option<Self> {
        match self {
            Self::Unproved => Some(Self::FirstCheck),
            Self::Proved => Some(Self::NextCheck),
            Self::FirstCheck | Self::NextCheck => None,
        }
    }

    /// A check was answered; `None` if there is none.
    pub(super) const fn answer(self) -> Option<Self> {
        match self {
            Self::FirstCheck | Self::NextCheck => Some(Self::Proved),
            Self::Unproved | Self::Proved => None,
        }
    }

    /// A check was not answered; `None` if there is none.
    pub(super) const fn fail(self) -> Option<Self> {
        match self {
            Self::FirstCheck => Some(Self::Unproved),
            Self::NextCheck => Some(Self::Proved),
            Self::Unproved | Self::Proved => None,
        }
    }

    pub(super) const fn is_live(self) -> bool {
        matches!(self, Self::Proved | Self::NextCheck)
    }

    pub(super) const fn is_checking(self) -> bool {
        matches!(self, Self::FirstCheck | Self::NextCheck)
    }
}
