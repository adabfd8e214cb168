//! REQUEST: taken without effect, as by Mesos' built-in allocator.

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn request(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>) {
        turn.accepted(admitted.request);
    }
}
