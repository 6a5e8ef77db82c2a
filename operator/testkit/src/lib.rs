//! The contract that every connector keeps, as tests that a connector's crate runs with one line:
//!
//! ```ignore
//! sv0_testkit::contract!(fixture::subject());
//! ```
//!
//! Takes a [`Subject`]: a connector, the documents of a small tenant, and what its collections are built upon. Drives the
//! connector through the real engine against a local server that serves these documents, as they are and in every way
//! that a vendor can misbehave. Gives sentences about what was broken; `docs/connector-contract.md` says what is asked.
//! May not: be linked by a program.

pub mod checks;
mod fault;
mod route;
mod server;
mod subject;
mod tenant;

pub use fault::Fault;
pub use server::Seen;
pub use subject::{Run, Subject, Verdict};
pub use tenant::Tenant;

/// Planted in every field that no manifest lists, in every error text and in every header: it must come out nowhere. A
/// fixture may plant it as well, in listed objects' fields that are not kept.
pub const CANARY: &str = "canary-never-kept";

/// Everything that a tenant's documents may be asked about, by an id that nobody asked for.
pub const STRANGER: &str = "57a46e00-0000-4000-8000-000000000000";

/// Runs the whole contract on a subject: one test for each part.
#[macro_export]
macro_rules! contract {
    ($subject:expr) => {
        $crate::contract! { $subject =>
            guard, paging, repeated_cursor, hostile, coverage, redaction, determinism, memory, recording
        }
    };
    ($subject:expr => $($check:ident),+) => {
        $(
            #[::std::prelude::v1::test]
            fn $check() {
                let broken = $crate::checks::run($crate::checks::$check(&$subject));
                ::std::assert!(broken.is_empty(), "the contract is broken:\n- {}", broken.join("\n- "));
            }
        )+
    };
}
