//! Rules that are planned and not built, and what stays out. A rule that is built leaves this table: a test fails while an
//! id stands in both.

use sv0_rules::Family::{
    self, CredentialLifecycle, CrossSystemAuthorityChain, DormantAuthority, ExposureEgress,
    ExposureNarrowSensitiveReach, ExposureRedistribution, OrphanedAutomation, ScopeDrift, UnboundedExecutionScope,
};

use super::System::{
    self, Atlassian, Aws, Azure, Entra, Foundry, GitHub, GoogleCloud, PowerAutomate, ServiceNow, UiPath,
};

/// A rule to come.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Its id.
    pub id: &'static str,
    /// Its family.
    pub family: Family,
    /// What it will find, in one line.
    pub title: &'static str,
    /// Systems that it will cover.
    pub systems: &'static [System],
}

const fn rule(id: &'static str, family: Family, title: &'static str, systems: &'static [System]) -> Planned {
    Planned { id, family, title, systems }
}

/// Every planned rule, in the order of ids.
#[rustfmt::skip]
pub const PLANNED: &[Planned] = &[
    rule("CRED-007", CredentialLifecycle, "A stored secret is used where the platform offers sign-in without one", &[Azure, Foundry, Aws, GoogleCloud, GitHub]),
    rule("CRED-008", CredentialLifecycle, "An unattended automation signs in with a person's own credential", &[GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("CRED-009", CredentialLifecycle, "A refresh token lives so long that it never has to be renewed", &[ServiceNow, Atlassian]),
    rule("CRED-011", CredentialLifecycle, "A root key or a service's local key still opens what should need an identity", &[Azure, Foundry, Aws]),
    rule("DORM-002", DormantAuthority, "A credential or identity was never used since it was made", &[Aws, GoogleCloud, GitHub, Atlassian]),
    rule("DORM-003", DormantAuthority, "An enabled automation did not run for a long time", &[Azure, Aws, GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("DORM-005", DormantAuthority, "An identity is in use, and one of its strong grants is not", &[Entra, Aws]),
    rule("DRIFT-004", ScopeDrift, "An automation got a new outside destination", &[Azure, Foundry, Aws, ServiceNow, Atlassian, PowerAutomate, UiPath]),
    rule("DRIFT-006", ScopeDrift, "A control on a strong path became weaker", &[Azure, Foundry, Aws, GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("EGR-001", ExposureEgress, "An automation calls an outside address without any authentication", &[Azure, Foundry, Aws, ServiceNow, Atlassian, PowerAutomate]),
    rule("EGR-002", ExposureEgress, "An automation calls an outside address with a fixed secret only", &[Azure, Foundry, Aws, ServiceNow, Atlassian, PowerAutomate]),
    rule("EGR-003", ExposureEgress, "An outside call is not encrypted, or the other side is not checked", &[Azure, Aws, GitHub, ServiceNow, Atlassian, UiPath]),
    rule("EGR-004", ExposureEgress, "Where an outside call goes, or how it authenticates, is decided while it runs", &[Azure, Aws, ServiceNow, PowerAutomate]),
    rule("EGR-005", ExposureEgress, "An agent's tool is reached without authentication", &[Foundry, Aws]),
    rule("EGR-006", ExposureEgress, "A webhook's receiver cannot tell whether a message is genuine", &[GitHub, Atlassian, PowerAutomate, UiPath]),
    rule("EGR-007", ExposureEgress, "One automation goes around the private way that another one takes", &[Azure, ServiceNow]),
    rule("EGR-008", ExposureEgress, "A credential of one system is sent to a host of another", &[Azure, Foundry, Aws, ServiceNow, PowerAutomate]),
    rule("ORPH-003", OrphanedAutomation, "An automation runs as a person whose account is disabled, locked or deleted", &[GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("ORPH-004", OrphanedAutomation, "Its creator is gone and nobody else answers for it", &[Foundry, Aws, GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("ORPH-006", OrphanedAutomation, "Only guests or people about to leave answer for it", &[Entra, ServiceNow]),
    rule("ORPH-007", OrphanedAutomation, "A trigger is left over whose automation or identity no longer exists", &[Azure, Aws, ServiceNow]),
    rule("REACH-001", ExposureNarrowSensitiveReach, "An identity reaches a sensitive system that none of its automations names", &[Entra, Azure, Aws, ServiceNow]),
    rule("REDIST-B1", ExposureRedistribution, "An automation reads sensitive data and posts to a place where people share", &[Azure, Foundry, ServiceNow, Atlassian, PowerAutomate]),
    rule("REDIST-B2", ExposureRedistribution, "An automation reads sensitive data and sends to an outside address", &[Azure, Foundry, Aws, ServiceNow, Atlassian, PowerAutomate]),
    rule("REDIST-B3", ExposureRedistribution, "Others can run an automation that reads more than they may read themselves", &[ServiceNow, PowerAutomate]),
    rule("REDIST-E1", ExposureRedistribution, "Guests are among those who receive it", &[Entra, Atlassian]),
    rule("REDIST-E2", ExposureRedistribution, "More people receive it than may read its source", &[Entra, ServiceNow, Atlassian]),
    rule("REDIST-E3", ExposureRedistribution, "It goes to a place that is public, or open to the whole organisation", &[Entra, GitHub, Atlassian]),
    rule("REDIST-E4", ExposureRedistribution, "A delivery is recorded: it did happen", &[Azure, Aws, ServiceNow, Atlassian, PowerAutomate]),
    rule("UNB-002", UnboundedExecutionScope, "Rights on everything, and no boundary takes any of them away", &[Azure, Aws, GoogleCloud]),
    rule("UNB-003", UnboundedExecutionScope, "An identity can raise its own rights, and there is something to raise them to", &[Entra, Azure, Aws, GoogleCloud]),
    rule("UNB-004", UnboundedExecutionScope, "An agent reads sensitive data, can send outside, and nothing stands between", &[Foundry, Aws, ServiceNow, PowerAutomate]),
    rule("UNB-006", UnboundedExecutionScope, "One installation or token can write to every repository and leads onward", &[GitHub]),
    rule("UNB-007", UnboundedExecutionScope, "Anybody can start a privileged automation", &[Azure, Foundry, Aws, GoogleCloud, ServiceNow, PowerAutomate]),
    rule("UNB-008", UnboundedExecutionScope, "An automation runs with the authority of the platform itself", &[Aws, GoogleCloud, ServiceNow, Atlassian]),
    rule("UNB-009", UnboundedExecutionScope, "An agent's tool changes things and nobody has to approve", &[Foundry, Aws, ServiceNow]),
    rule("UNB-010", UnboundedExecutionScope, "A connection with a stored credential is shared with everybody", &[Foundry, GitHub, ServiceNow, PowerAutomate]),
    rule("XSYS-001", CrossSystemAuthorityChain, "One path crosses several systems and ends where it can change things", &[Entra, Azure, Foundry, Aws, GoogleCloud, GitHub, ServiceNow, Atlassian, PowerAutomate]),
    rule("XSYS-002", CrossSystemAuthorityChain, "A pipeline or agent can enter a privileged cloud identity by federation", &[Entra, Aws, GoogleCloud, GitHub]),
    rule("XSYS-004", CrossSystemAuthorityChain, "Another organisation's account is trusted without a condition that binds it", &[Entra, Aws, GoogleCloud]),
    rule("XSYS-007", CrossSystemAuthorityChain, "Somebody with less authority can edit what a stronger identity runs", &[Azure, Aws, GoogleCloud, ServiceNow]),
];

/// What stays out, and why.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// What it is.
    pub title: &'static str,
    /// Why it stays out.
    pub reason: &'static str,
}

/// What stays out.
pub const OUT: &[Out] = &[
    Out {
        title: "Posture of third-party marketplace applications (use case 5)",
        reason: "It judges a product that somebody else offers, not an execution path of yours: such a finding would have no \
                 automation or identity that runs.",
    },
    Out {
        title: "Posture of code and delivery: branch protection, secret scanning, runners (use case 6)",
        reason: "It judges how code is kept, not what an automation can do. Repositories and workflows are read only as far as \
                 they lead into an identity of another system.",
    },
];
