//! TEARDOWN: the framework ends, with everything that it runs.

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn teardown(&mut self, turn: &mut Turn<'_>, admitted: &Admitted<'_>) {
        let id = &admitted.framework.id;
        self.propose_removal(turn, admitted.request, id, admitted.principal.clone());
    }
}
