//! The rules, one file each, in one list.

mod cred_001;
mod cred_002;
mod cred_003;
mod cred_004;
mod cred_005;
mod cred_006;
mod cred_010;
mod cred_012;
mod cred_013;
mod dorm_001;
mod dorm_004;
mod dorm_006;
mod drift_007;
mod orph_001;
mod orph_002;
mod orph_005;
mod unb_001;
mod unb_005;
mod unb_011;
mod xsys_003;
mod xsys_005;
mod xsys_006;
mod xsys_008;

use jiff::Timestamp;

use crate::identity::Credential;
use crate::rule::{Context, Meta, Rule};
use crate::summary::Summary;

/// Every rule, in the order of ids.
pub const RULES: &[Rule] = &[
    cred_001::RULE,
    cred_002::RULE,
    cred_003::RULE,
    cred_004::RULE,
    cred_005::RULE,
    cred_006::RULE,
    cred_010::RULE,
    cred_012::RULE,
    dorm_001::RULE,
    dorm_004::RULE,
    dorm_006::RULE,
    drift_007::RULE,
    orph_001::RULE,
    orph_002::RULE,
    orph_005::RULE,
    unb_001::RULE,
    unb_005::RULE,
    unb_011::RULE,
    xsys_003::RULE,
    xsys_005::RULE,
    xsys_006::RULE,
    xsys_008::RULE,
];

/// The rule about the whole tenant, whose findings are gathered by what they hold through.
pub(crate) const UNB_001: &Meta = &unb_001::RULE.meta;

/// The rule about the data of everybody, which is not about what else an identity holds.
pub(crate) const UNB_005: &Meta = &unb_005::RULE.meta;

/// What the composite about privileged identities says so that no other finding need say it beside it.
pub(crate) use cred_001::tells as cred_001_tells;

/// Rules whose full claim rests on something that no connector reads yet: they make their narrower claim only.
pub const NARROWER_ONLY: &[&str] = &[dorm_006::RULE.meta.id, xsys_005::RULE.meta.id];

/// Every rule about a tenant as a whole, in the order of ids.
pub const SUMMARIES: &[Summary] = &[cred_013::SUMMARY];

/// From when a credential's age counts.
pub(crate) fn begin(context: &Context<'_>, credential: &Credential) -> Option<Timestamp> {
    cred_003::begin(context, credential)
}
