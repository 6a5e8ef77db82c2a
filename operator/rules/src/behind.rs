//! What every finding says of the automations behind its identity: takes what is known of them, gives a part of a
//! sentence, the first hops of the path, and evidence.
//!
//! Only what runs stands on a path. A finding does not wait for this evidence to be read again: what runs as an identity
//! decides none of what else is said of it, and a rule that rests on it has it as its own.

use sv0_graph::{EdgeKind, Graph};

use crate::assemble::{self, hop};
use crate::automations::{Automation, Automations, Run};
use crate::evidence::{Mark, Proof};
use crate::finding::EvidenceClass;
use crate::identity::Identity;
use crate::rule::{Context, Marked};
use crate::text::counted;

/// Most automations whose tie stands as evidence.
const MAX_NAMED: usize = 3;

/// What is said of the automations behind an identity.
#[derive(Debug)]
pub(crate) struct Behind {
    /// Goes on from `It can sign in unattended with a secret; `.
    pub(crate) says: String,
    /// From what runs to the identity.
    pub(crate) hops: Vec<Marked>,
    pub(crate) proofs: Vec<Proof>,
}

impl Behind {
    pub(crate) fn of(context: &Context<'_>, identity: &Identity<'_>) -> Self {
        let graph = context.graph;
        let automations = Automations::of(context, identity);
        let live: Vec<&Automation<'_>> = automations.live().collect();
        let itself = assemble::itself(identity);
        let (says, hops) = match live.as_slice() {
            [] => (nothing_runs(&automations), Vec::new()),
            [one] => (format!("the {} {}", one.label(graph), one.runs()), of_one(graph, one, &itself)),
            several => {
                let count = counted(several.len(), "automation", "automations");
                (format!("{count} known here act as it"), vec![of_several(several, &count, &itself)])
            }
        };
        let proofs = live.iter().take(MAX_NAMED).map(|one| Proof { dependency: None, ..one.proof(graph) });
        Self { says, hops, proofs: proofs.collect() }
    }
}

/// Why no automation is named.
fn nothing_runs(automations: &Automations<'_>) -> String {
    let Automations { known, doubtful } = automations;
    let stopped = |automation: &&Automation<'_>| matches!(automation.run, Run::Off | Run::Deleted);
    let unknown = known.len() - known.iter().filter(stopped).count();
    match (known.len(), unknown, doubtful) {
        (0, _, 0) => "the automation behind it is not visible here".to_owned(),
        (0, _, doubtful) => {
            let count = counted(*doubtful, "automation runs", "automations run");
            format!("whether {count} as it or as another one with its id is not known")
        }
        (_, 0, _) => {
            let count = counted(known.len(), "automation known here is", "automations known here are");
            format!("{count} switched off or deleted")
        }
        (_, unknown, _) => {
            let count = counted(unknown, "automation known here runs", "automations known here run");
            format!("whether {count} as it is not told")
        }
    }
}

fn of_one(graph: &Graph, one: &Automation<'_>, itself: &str) -> Vec<Marked> {
    let (from, tie) = (one.label(graph), Mark::edge(one.tie));
    let Some(presents) = one.presents else {
        return vec![hop(&from, EdgeKind::RunsAs, itself, (None, one.class()), Some(tie))];
    };
    let connection = assemble::label(graph, presents.from);
    vec![
        hop(&from, EdgeKind::UsesConnection, &connection, (None, EvidenceClass::Direct), Some(tie)),
        hop(&connection, EdgeKind::Presents, itself, (None, one.class()), Some(Mark::edge(presents))),
    ]
}

/// One hop for all: the first ones stand as evidence.
fn of_several(several: &[&Automation<'_>], count: &str, itself: &str) -> Marked {
    let derived = several.iter().map(|one| one.class()).find(|class| *class != EvidenceClass::Direct);
    let class = derived.unwrap_or(EvidenceClass::Direct);
    hop(count, EdgeKind::RunsAs, itself, (None, class), several.iter().map(|one| Mark::edge(one.tie)))
}
