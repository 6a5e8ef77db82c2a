//! How many workloads a federated trust admits: takes the form of an issuer and the subject or expression that Entra
//! compares, gives a breadth. Pure text.
//!
//! A subject is exact: `*` in it is a letter. Only an expression has wildcards. Of a wildcard only what stands before it
//! bounds anything, so that `repo:contoso/app*` is every repository of `contoso` whose name begins with `app`. A form of
//! subject or an expression that is not known is not judged.

use crate::matching::{self, Clause};
use crate::tiers::IssuerForm;

/// Who is admitted. Ordered: the narrowest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breadth {
    /// One workload.
    One,
    /// Several workloads of one customer of the issuer.
    Several,
    /// Workloads of customers of the issuer whom nobody named.
    Anybody,
}

/// What is known of a trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) breadth: Breadth,
    /// Claims that may bound it further, in a way that is not weighed here.
    pub(crate) doubts: Vec<String>,
    /// Rests on names at GitHub that somebody else can take over once they are given up.
    pub(crate) by_name: bool,
}

/// What one clause fixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    /// The issuer's customer: owner, group, organisation.
    customer: bool,
    /// The repository, project or workspace.
    unit: bool,
    /// The part of it, where that is a boundary: environment or branches, as opposed to everything that runs there.
    part: bool,
}

const ALL: Bounds = Bounds { customer: true, unit: true, part: true };

/// Of an exact subject. None when its form is not known.
pub(crate) fn subject(form: IssuerForm, subject: &str) -> Option<Judged> {
    if form == IssuerForm::GitHub && !subject.starts_with("repo:") {
        // Owners may compose subjects of other claims, of which some name no repository.
        return None;
    }
    let by_name = form == IssuerForm::GitHub && named(subject);
    Some(Judged { breadth: Breadth::One, doubts: Vec::new(), by_name })
}

/// Of an expression. None when it is not understood.
pub(crate) fn expression(form: IssuerForm, expression: &str) -> Option<Judged> {
    if form == IssuerForm::Other {
        return None;
    }
    let clauses = matching::parse(expression)?;
    let mut bounds = Bounds::default();
    let mut doubts = Vec::new();
    for clause in &clauses {
        let fixed = if clause.claim == "sub" { Some(of_subject(form, clause)?) } else { of_claim(form, clause) };
        match fixed {
            Some(fixed) => bounds = bounds.with(fixed),
            None => doubts.push(clause.claim.to_owned()),
        }
    }
    let by_id = |clause: &Clause<'_>| matches!(clause.claim, "repository_id" | "repository_owner_id");
    let by_name = form == IssuerForm::GitHub
        && !clauses.iter().any(by_id)
        && clauses.iter().any(|clause| clause.claim == "sub" && named(clause.text));
    Some(Judged { breadth: bounds.breadth(), doubts, by_name })
}

impl Bounds {
    const fn with(self, other: Self) -> Self {
        Self { customer: self.customer || other.customer, unit: self.unit || other.unit, part: self.part || other.part }
    }

    const fn breadth(self) -> Breadth {
        match self {
            Self { customer: false, .. } => Breadth::Anybody,
            Self { unit: true, part: true, .. } => Breadth::One,
            _ => Breadth::Several,
        }
    }
}

/// What a comparison of the subject fixes. None when its form is not known.
fn of_subject(form: IssuerForm, clause: &Clause<'_>) -> Option<Bounds> {
    let (prefix, wild) = clause.prefix();
    let start = match form {
        IssuerForm::GitHub => "repo:",
        IssuerForm::GitLab => "project_path:",
        IssuerForm::Terraform => "organization:",
        IssuerForm::Other => return None,
    };
    let Some(body) = prefix.strip_prefix(start) else {
        // The wildcard begins before anything is fixed; any other beginning is a form that is not known.
        return (wild && start.starts_with(prefix)).then(Bounds::default);
    };
    if !wild {
        return Some(ALL);
    }
    Some(match form {
        IssuerForm::Terraform => terraform(body),
        IssuerForm::GitHub => repository(body, github_part),
        _ => repository(body, |_| true),
    })
}

/// `owner/name:rest`, cut off at the first wildcard.
fn repository(body: &str, part: fn(&str) -> bool) -> Bounds {
    let Some((_, after)) = body.split_once('/') else { return Bounds::default() };
    // Groups of GitLab nest: everything up to the colon is the path.
    match after.split_once(':') {
        Some((_, rest)) => Bounds { customer: true, unit: true, part: part(rest) },
        None => Bounds { customer: true, ..Bounds::default() },
    }
}

/// Branches and tags of one repository are one workload; all of its environments, or whatever runs in it, are not.
fn github_part(rest: &str) -> bool {
    rest.split_once(':').is_some_and(|(kind, _)| kind != "environment") || rest.starts_with("pull_request")
}

/// `o:project:p:workspace:w:rest`, cut off at the first wildcard. The phases of one workspace are one workload.
fn terraform(body: &str) -> Bounds {
    let customer = body.contains(':');
    let unit = body.split_once(":workspace:").is_some_and(|(_, rest)| rest.contains(':'));
    Bounds { customer, unit, part: unit }
}

/// What a comparison of another claim fixes. None when that is not known.
fn of_claim(form: IssuerForm, clause: &Clause<'_>) -> Option<Bounds> {
    let (prefix, wild) = clause.prefix();
    let customer = Bounds { customer: true, ..Bounds::default() };
    let unit = Bounds { customer: true, unit: true, part: false };
    let part = |part| Bounds { part, ..Bounds::default() };
    if wild {
        // Of a pattern only that of a name with its owner in front, or of a branch, is known to fix anything.
        return match (form, clause.claim) {
            (IssuerForm::GitHub, "repository") if prefix.contains('/') => Some(customer),
            (IssuerForm::GitHub, "ref") => {
                Some(part(prefix.starts_with("refs/heads/") || prefix.starts_with("refs/tags/")))
            }
            (IssuerForm::GitHub, "repository" | "repository_id" | "repository_owner" | "repository_owner_id") => {
                Some(Bounds::default())
            }
            _ => None,
        };
    }
    match (form, clause.claim) {
        (IssuerForm::GitHub, "repository" | "repository_id") => Some(unit),
        (IssuerForm::GitHub, "environment" | "ref") => Some(part(true)),
        (IssuerForm::GitLab, "project_id" | "project_path") | (IssuerForm::Terraform, "terraform_workspace_id") => {
            Some(ALL)
        }
        (IssuerForm::GitHub, "repository_owner" | "repository_owner_id")
        | (IssuerForm::GitLab, "namespace_id" | "namespace_path")
        | (IssuerForm::Terraform, "terraform_organization_id" | "terraform_organization_name") => Some(customer),
        // A reusable workflow bounds what runs, not who runs it; other claims may bound anything.
        _ => None,
    }
}

/// Whether a subject of GitHub names its owner by name: `repo:owner/…`, not `repo:owner@id/…`.
fn named(subject: &str) -> bool {
    let owner = subject.strip_prefix("repo:").and_then(|body| body.split_once('/')).map(|(owner, _)| owner);
    owner.is_some_and(|owner| !owner.contains(['@', '*', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn breadth(form: IssuerForm, text: &str) -> Option<Breadth> {
        expression(form, text).map(|judged| judged.breadth)
    }

    #[rstest]
    #[case::branches_of_one_repository("claims['sub'] matches 'repo:contoso/app:ref:refs/heads/*'", Breadth::One)]
    #[case::refs_of_one_repository("claims['sub'] matches 'repo:contoso/app:ref:*'", Breadth::One)]
    #[case::by_ids("claims['sub'] matches 'repo:contoso@1/app@2:ref:refs/heads/*'", Breadth::One)]
    #[case::one_environment("claims['sub'] eq 'repo:contoso/app:environment:prod'", Breadth::One)]
    #[case::environments("claims['sub'] matches 'repo:contoso/app:environment:*'", Breadth::Several)]
    #[case::everything_in_a_repository("claims['sub'] matches 'repo:contoso/app:*'", Breadth::Several)]
    #[case::repositories("claims['sub'] matches 'repo:contoso/*'", Breadth::Several)]
    #[case::repositories_by_owner_id("claims['sub'] matches 'repo:contoso@1/*:ref:refs/heads/main'", Breadth::Several)]
    // `app*` is `app-evil` as well, but of the same owner.
    #[case::names_that_begin_alike("claims['sub'] matches 'repo:contoso/app*:ref:refs/heads/main'", Breadth::Several)]
    #[case::owners_that_begin_alike("claims['sub'] matches 'repo:contoso*/app:ref:refs/heads/main'", Breadth::Anybody)]
    #[case::one_letter_of_the_owner("claims['sub'] matches 'repo:contos?/app:ref:refs/heads/main'", Breadth::Anybody)]
    #[case::owner_ids_that_begin_alike("claims['sub'] matches 'repo:contoso@1*'", Breadth::Anybody)]
    #[case::everything("claims['sub'] matches '*'", Breadth::Anybody)]
    #[case::every_repository("claims['sub'] matches 'repo:*'", Breadth::Anybody)]
    #[case::any_repository_with_an_environment("claims['sub'] matches '*:environment:prod'", Breadth::Anybody)]
    #[case::wildcards_after_eq_are_text("claims['sub'] eq 'repo:contoso/*'", Breadth::One)]
    fn of_github(#[case] text: &str, #[case] expected: Breadth) {
        assert_eq!(breadth(IssuerForm::GitHub, text), Some(expected));
    }

    #[rstest]
    #[case::repository_id(
        "claims['sub'] matches 'repo:*:ref:refs/heads/main' and claims['repository_id'] eq '7'",
        Breadth::Several
    )]
    #[case::id_and_branch("claims['repository_id'] eq '7' and claims['ref'] eq 'refs/heads/main'", Breadth::One)]
    #[case::owner_id("claims['sub'] matches 'repo:*' and claims['repository_owner_id'] eq '7'", Breadth::Several)]
    #[case::owner_id_pattern(
        "claims['sub'] matches 'repo:*' and claims['repository_owner_id'] matches '7*'",
        Breadth::Anybody
    )]
    #[case::repositories("claims['repository'] matches 'contoso/*'", Breadth::Several)]
    #[case::owners("claims['repository'] matches 'cont*'", Breadth::Anybody)]
    #[case::every_ref("claims['repository_id'] eq '7' and claims['ref'] matches '*'", Breadth::Several)]
    #[case::branches("claims['repository_id'] eq '7' and claims['ref'] matches 'refs/heads/*'", Breadth::One)]
    #[case::no_subject("claims['environment'] eq 'prod'", Breadth::Anybody)]
    fn other_claims_of_github_bound_too(#[case] text: &str, #[case] expected: Breadth) {
        assert_eq!(breadth(IssuerForm::GitHub, text), Some(expected));
    }

    #[rstest]
    #[case(IssuerForm::GitLab, "claims['sub'] matches 'project_path:g/p:ref_type:branch:ref:*'", Breadth::One)]
    #[case(IssuerForm::GitLab, "claims['sub'] matches 'project_path:g/sub/*'", Breadth::Several)]
    #[case(IssuerForm::GitLab, "claims['sub'] matches 'project_path:*'", Breadth::Anybody)]
    #[case(IssuerForm::GitLab, "claims['sub'] matches 'project_path:*' and claims['project_id'] eq '3'", Breadth::One)]
    #[case(
        IssuerForm::Terraform,
        "claims['sub'] matches 'organization:o:project:p:workspace:w:run_phase:*'",
        Breadth::One
    )]
    #[case(IssuerForm::Terraform, "claims['sub'] matches 'organization:o:project:p:workspace:w*'", Breadth::Several)]
    #[case(IssuerForm::Terraform, "claims['sub'] matches 'organization:o:*'", Breadth::Several)]
    #[case(IssuerForm::Terraform, "claims['sub'] matches 'organization:o*'", Breadth::Anybody)]
    fn of_other_issuers(#[case] form: IssuerForm, #[case] text: &str, #[case] expected: Breadth) {
        assert_eq!(breadth(form, text), Some(expected));
    }

    #[test]
    fn what_is_not_understood_is_not_judged() {
        assert_eq!(breadth(IssuerForm::GitHub, "claims['sub'] startswith 'repo:'"), None);
        assert_eq!(breadth(IssuerForm::GitHub, "claims['sub'] matches 'repository_owner:contoso:*'"), None);
        assert_eq!(breadth(IssuerForm::Other, "claims['sub'] matches '*'"), None);
        assert_eq!(subject(IssuerForm::GitHub, "repository_owner:contoso"), None);
    }

    #[test]
    fn a_claim_that_is_not_weighed_is_a_doubt() {
        let text =
            "claims['sub'] matches 'repo:contoso/*' and claims['job_workflow_ref'] matches 'contoso/x/.github/*'";
        let judged = expression(IssuerForm::GitHub, text).unwrap();
        assert_eq!((judged.breadth, judged.doubts), (Breadth::Several, vec!["job_workflow_ref".to_owned()]));
    }

    #[rstest]
    #[case("repo:contoso/app:ref:refs/heads/main", true)]
    #[case("repo:contoso@1/app@2:ref:refs/heads/main", false)]
    fn names_can_be_taken_over_and_ids_cannot(#[case] text: &str, #[case] by_name: bool) {
        let judged = subject(IssuerForm::GitHub, text).unwrap();
        assert_eq!((judged.breadth, judged.by_name), (Breadth::One, by_name));
    }

    #[test]
    fn a_star_in_a_subject_is_a_letter() {
        assert_eq!(subject(IssuerForm::GitHub, "repo:contoso/*").unwrap().breadth, Breadth::One);
        assert_eq!(subject(IssuerForm::GitLab, "project_path:*").unwrap().breadth, Breadth::One);
    }

    #[test]
    fn an_id_beside_the_name_binds_it() {
        let text = "claims['sub'] matches 'repo:contoso/app:*' and claims['repository_owner_id'] eq '7'";
        assert!(!expression(IssuerForm::GitHub, text).unwrap().by_name);
    }
}
