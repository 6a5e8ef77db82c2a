//! `data-access`: what reaches sensitive data by itself.
//!
//! Application permissions that the table of sensitive containers names, and grants on what the customer declared. What
//! everybody writes and files is a class of its own where Exchange limits nothing of it, and another one where it may:
//! which of these is nearer says nothing of the others.

use super::{Derivation, End, Overlay};

pub(super) const DERIVATION: Derivation = Derivation {
    id: "data-access",
    version: 2,
    needs: &["directoryRoleAssignments", "appRoleAssignments"],
    gives: "The holder of a permission that opens a sensitive container, or of a grant on what is declared to hold \
            sensitive data, reaches those data.",
    trap: "What a permission gives for a user ends where the rights of that user end; a selected permission \
           reaches what was selected.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    for grant in overlay.grants.clone().iter() {
        let Some(sensitive) = grant.sensitive else { continue };
        overlay.ends(grant, End::Data);
        if sensitive.is_everybodys() {
            let limited = sensitive.limited_by_exchange();
            overlay.ends(grant, if limited { End::Mailboxes } else { End::Everybodys });
        }
    }
}
